"""The examples in docstrings, as blocks of code: griffe, which reads the sources, takes no prompt for one."""

from typing import Any

from griffe import Extension, Object


class Examples(Extension):
    """Puts a fence around every example."""

    def on_instance(self, *, obj: Object, **_: Any) -> None:
        """Is called by griffe with each thing that it has read."""
        if obj.docstring:
            obj.docstring.value = fenced(obj.docstring.value)


def fenced(text: str) -> str:
    """The text, with what stands from a prompt to the next empty line in a block of its own."""
    lines: list[str] = []
    within = ""
    for line in [*text.splitlines(), ""]:
        indent = line[: len(line) - len(line.lstrip())]
        if not within and line.lstrip().startswith(">>> "):
            within = f"{indent}```"
            lines += ["", f"{within}pycon"]
        elif within and not line.strip():
            lines.append(within)
            within = ""
        lines.append(line)
    return "\n".join(lines).rstrip()
