"""What can be wrong with a template, a value or a key. Each is a ``ValueError``."""


class TemplateError(ValueError):
    """The template itself is wrong.

    ``position`` is the index of the offending character in the template's text, or ``None`` where the fault
    has no place in it (a label's name, an argument of ``bind``).
    """

    def __init__(self, message: str, position: int | None = None) -> None:
        super().__init__(message if position is None else f"{message} (at position {position})")
        self.position = position


class MissingValueError(ValueError):
    """The template asks for ``field`` and the context has no value for it."""

    def __init__(self, field: str, hint: str) -> None:
        super().__init__(f"the template needs a value for {{{field}}}: {hint}")
        self.field = field


class ValueRefusedError(ValueError):
    """The value of ``field`` would change the shape of the key."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"the value of {{{field}}} {reason}")
        self.field = field


class KeyRuleError(ValueError):
    """The key breaks ``rule`` of a provider.

    ``position`` is the index of the first offending character in the key, or ``None`` where the whole key
    is at fault.
    """

    def __init__(self, message: str, rule: str, position: int | None = None) -> None:
        super().__init__(message)
        self.rule = rule
        self.position = position
