"""Object keys as text: templates, contexts, suffix rules and the limits of each provider.

Strategy: everything here is a pure function of its arguments. No clock, environment, disk or network is
read, so the same template and context give the same key on every machine.
"""

from .context import Context
from .errors import KeyRuleError, MatchTooCostlyError, MissingValueError, TemplateError, ValueRefusedError
from .naming import archive_key, object_key, prefix_key
from .rules import AZURE, FILE, GCS, S3, Key, KeyRules, check_key
from .template import Template

__all__ = [
    "AZURE",
    "FILE",
    "GCS",
    "S3",
    "Context",
    "Key",
    "KeyRuleError",
    "KeyRules",
    "MatchTooCostlyError",
    "MissingValueError",
    "Template",
    "TemplateError",
    "ValueRefusedError",
    "archive_key",
    "check_key",
    "object_key",
    "prefix_key",
]
