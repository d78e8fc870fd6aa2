"""From a template to the name of an object (specification, "Dynamic Naming", last paragraph before the example)."""

from .context import Context
from .errors import KeyRuleError
from .rules import S3, Key, KeyRules, check_key
from .template import Template


def archive_key(key: str) -> str:
    """``key`` with ``.tar.gz`` at its end, added only where it is missing.

    >>> archive_key("results/a"), archive_key("results/a.tar.gz")
    ('results/a.tar.gz', 'results/a.tar.gz')
    """
    return key if key.endswith(".tar.gz") else key + ".tar.gz"


def prefix_key(key: str) -> str:
    """``key`` with ``/`` at its end, added only where it is missing.

    >>> prefix_key("results/a"), prefix_key("results/a/")
    ('results/a/', 'results/a/')
    """
    return key if key.endswith("/") else key + "/"


def file_key(key: str) -> str:
    """``key`` as it is. Raises ``KeyRuleError`` if it ends with ``/``, as then it names no file.

    >>> file_key("results/a.bin")
    'results/a.bin'
    """
    if key.endswith("/"):
        what = f"the key {key!r} ends with '/', and one file has a name of its own: write it behind that"
        raise KeyRuleError(what, "end", len(key) - 1)
    return key


def object_key(
    template: Template | str, context: Context, *, archive: bool, raw: bool = False, rules: KeyRules = S3
) -> Key:
    """The key under which ``context``'s results are published: of an archive, or the prefix of its files.

    ``raw`` stands in for both: it is the key of one object, exactly as the template says, and may not end with ``/``.

    The template is expanded, the suffix rule is applied to the expanded key, and the result is checked against the
    provider's rules. Bacalhau looks for the suffix before it expands: in its dialect only the last literal, or the
    value in the last place, can bring it. Text is read as a template whose labels are the context's. Raises what
    ``Template``, ``expand`` and ``check_key`` raise.

    >>> object_key("result-{jobID}", Context(job_id="abc123"), archive=True)
    'result-abc123.tar.gz'
    >>> object_key("result-{jobID}.bin", Context(job_id="abc123"), archive=False, raw=True)
    'result-abc123.bin'
    """
    if isinstance(template, str):
        template = Template(template, labels=context.labels)
    expanded = template.expand(context)
    if raw:
        return check_key(file_key(expanded), rules)
    judged = template.last.expand(context) if template.dialect == "bacalhau" else expanded
    suffix = (archive_key if archive else prefix_key)(judged)[len(judged) :]
    return check_key(expanded + suffix, rules, names=None if archive else ())
