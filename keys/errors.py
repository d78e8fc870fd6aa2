"""What can be wrong with a template, a value or a key. Each is a ``ValueError``.

Each keeps its arguments as they were given, so that it can be pickled and cross from a worker to its pool.
"""

from keystow.root import KeystowError


class TemplateError(KeystowError, ValueError):
    """The template itself is wrong.

    ``position`` is the index of the offending character in the template's text, or ``None`` where the fault
    has no place in it (a label's name, an argument of ``bind``). ``field`` is the name that no field has, where that
    is the fault and a label may have it.
    """

    kind = "invalid_template"

    def __init__(self, message: str, position: int | None = None, field: str | None = None) -> None:
        super().__init__(message, position, field)
        self.position = position
        self.field = field

    def __str__(self) -> str:
        return self.args[0] if self.position is None else f"{self.args[0]} (at position {self.position})"


class MissingValueError(KeystowError, ValueError):
    """The template asks for ``field`` and the context has no value for it."""

    kind = "missing_value"

    def __init__(self, field: str, hint: str) -> None:
        super().__init__(field, hint)
        self.field = field

    def __str__(self) -> str:
        return "the template needs a value for {{{}}}: {}".format(*self.args)


class ValueRefusedError(KeystowError, ValueError):
    """The value of ``field`` would change the shape of the key."""

    kind = "value_refused"

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(field, reason)
        self.field = field

    def __str__(self) -> str:
        return "the value of {{{}}} {}".format(*self.args)


class MatchTooCostlyError(KeystowError, ValueError):
    """The key can be divided among the template's fields in more ways than ``match`` tries."""

    kind = "match_too_costly"


class KeyRuleError(KeystowError, ValueError):
    """The key breaks ``rule`` of a provider.

    ``position`` is the index of the first offending character in the key, or ``None`` where the whole key
    is at fault.
    """

    kind = "key_breaks_rule"

    def __init__(self, message: str, rule: str, position: int | None = None) -> None:
        super().__init__(message, rule, position)
        self.rule = rule
        self.position = position

    def __str__(self) -> str:
        return str(self.args[0])
