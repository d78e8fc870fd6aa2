"""The completion of bash. It needs nothing of the package bash-completion, which only finds it."""

from .calls import Argument, Call

_HEAD = """\
# bash completion for keystow; made by `make help-files`
_keystow_files() {
    compopt -o filenames 2>/dev/null
    mapfile -t COMPREPLY < <(compgen "$1" -- "$current")
}

_keystow() {
    local at=$COMP_CWORD words=""
    local current="${COMP_WORDS[at]}" command="${COMP_WORDS[1]}" before="${COMP_WORDS[at - 1]}"
    COMPREPLY=()
    if ((at == 1)); then
        command=""
    elif [[ $current == "=" ]]; then # readline divides --output=yaml into three words, and s3://bucket, too
        current=""
    elif [[ $before == "=" ]]; then
        before="${COMP_WORDS[at - 2]}"
    elif [[ $current == : || $before == : ]]; then
        return
    fi
    case "$command $before" in
"""
_TAIL = """\
    esac
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
}

complete -F _keystow keystow
"""


def completion(calls: list[Call]) -> str:
    """The text of the file."""
    names = " ".join(call.name for call in calls)
    values = "".join(
        f"    {case})\n{body}        return\n        ;;\n" for call in calls for case, body in _values(call)
    )
    words = f'    "")\n        words="{names} --help --version"\n        ;;\n' + "".join(map(_words, calls))
    between = '    esac\n    case "$command" in\n'
    return _HEAD + values + between + words + _TAIL


def _values(call: Call) -> "list[tuple[str, str]]":
    """By the option before it: how a value is completed."""
    return [
        ("|".join(f'"{call.name} {name}"' for name in option.names), _value(option))
        for option in call.options
        if option.metavar
    ]


def _value(option: Argument) -> str:
    if option.kind == "choice":
        return f'        mapfile -t COMPREPLY < <(compgen -W "{" ".join(option.choices)}" -- "$current")\n'
    if option.kind == "text":
        return ""
    return f"        _keystow_files {'-d' if option.kind == 'directory' else '-f'}\n"


def _words(call: Call) -> str:
    options = " ".join(name for option in call.options for name in option.names)
    chosen = " ".join(name for place in call.places for name in place.choices)
    files = any(place.kind in {"file", "directory"} for place in call.places)
    otherwise = f'words="{chosen}"' if chosen else ""
    if files:
        otherwise = "_keystow_files -f\n            return"
    lines = [f"    {call.name})", "        if [[ $current == -* ]]; then", f'            words="{options}"']
    if otherwise:
        lines += ["        else", f"            {otherwise}"]
    return "\n".join([*lines, "        fi", "        ;;", ""])
