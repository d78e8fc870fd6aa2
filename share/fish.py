"""The completion of fish, a line for each thing that can be typed."""

from .calls import Argument, Call

_HEAD = """\
# fish completion for keystow; made by `make help-files`
function __keystow_is
    set -l words (commandline -opc)
    test (count $words) -gt 1; and test $words[2] = $argv[1]
end

complete -c keystow -f
complete -c keystow -n __fish_is_first_token -s h -l help -d 'print the page of help'
complete -c keystow -n __fish_is_first_token -s V -l version -d 'print the version'
"""
_FILES = {"file": " -F", "directory": " -a '(__fish_complete_directories)'", "text": ""}


def completion(calls: list[Call]) -> str:
    """The text of the file."""
    commands = [
        f"complete -c keystow -n __fish_is_first_token -a {call.name} -d {_quoted(call.summary)}" for call in calls
    ]
    return _HEAD + "\n".join([*commands, *(line for call in calls for line in _lines(call)), ""])


def _lines(call: Call) -> list[str]:
    start = f"complete -c keystow -n '__keystow_is {call.name}'"
    places = [f"{start}{_place(place)}" for place in call.places if place.kind != "text"]
    return places + [f"{start}{_option(option)}" for option in call.options]


def _place(place: Argument) -> str:
    return f" -a '{' '.join(place.choices)}'" if place.choices else _FILES[place.kind]


def _option(option: Argument) -> str:
    names = "".join(f" -l {name[2:]}" if name.startswith("--") else f" -s {name[1:]}" for name in option.names)
    value = ""
    if option.choices:
        value = f" -x -a '{' '.join(option.choices)}'"
    elif option.metavar:
        value = " -r -F" if option.kind == "file" else f" -x{_FILES[option.kind]}"
    return f"{names}{value} -d {_quoted(option.help)}"


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
