"""Whether a release could go out: ``make release-check``, as ``python -m release``."""
