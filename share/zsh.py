"""The completion of zsh, in the language of its ``_arguments``."""

from .calls import Argument, Call

_HEAD = """\
#compdef keystow
# zsh completion for keystow; made by `make help-files`

_keystow() {
    local context state state_descr line
    typeset -A opt_args
    local -a commands=(
"""
_BETWEEN = """\
    )
    _arguments -C \\
        '(- *)'{-h,--help}'[print the page of help]' \\
        '(- *)'{-V,--version}'[print the version]' \\
        '1:command:->command' \\
        '*::argument:->argument'
    case $state in
    command)
        _describe command commands
        ;;
    argument)
        case $line[1] in
"""
_TAIL = """\
        esac
        ;;
    esac
}

_keystow "$@"
"""
_ACTIONS = {"file": "_files", "directory": "_files -/", "text": " "}


def completion(calls: list[Call]) -> str:
    """The text of the file."""
    commands = "".join(f"        {_quoted(f'{call.name}:{call.summary}')}\n" for call in calls)
    return _HEAD + commands + _BETWEEN + "".join(map(_case, calls)) + _TAIL


def _case(call: Call) -> str:
    specs = [spec for option in call.options for spec in _option(option)]
    specs += [_place(place) for place in call.places]
    arguments = " \\\n                ".join(["_arguments -s", *map(_quoted, specs)])
    return f"        {call.name})\n            {arguments}\n            ;;\n"


def _option(option: Argument) -> list[str]:
    help_, value = _escaped(option.help), ""
    if option.metavar:
        value = f":{_escaped(option.metavar)}:{_action(option)}"
    others = "*" if option.repeated else f"({' '.join(option.names)})" * (len(option.names) > 1)
    return [f"{others}{name}[{help_}]{value}" for name in option.names]


def _place(place: Argument) -> str:
    return f"{'*' if place.many else ''}:{_escaped(place.metavar)}:{_action(place)}"


def _action(argument: Argument) -> str:
    return f"({' '.join(argument.choices)})" if argument.choices else _ACTIONS[argument.kind]


def _escaped(text: str) -> str:
    for special in "\\[]:":
        text = text.replace(special, f"\\{special}")
    return text


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
