"""The completion of bash. It needs nothing of the package bash-completion, which only finds it."""

from .calls import Argument, Call

_HEAD = """\
# bash completion for keystow; made by `make help-files`
_keystow_files() {
    compopt -o filenames
    mapfile -t COMPREPLY < <(compgen "$1" -- "$current")
}

_keystow() {
    local current="${COMP_WORDS[COMP_CWORD]}" command="${COMP_WORDS[1]}" before="${COMP_WORDS[COMP_CWORD - 1]}" words=""
    COMPREPLY=()
    if ((COMP_CWORD == 1)); then
        command=""
        before=""
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
