"""``python -m keystow`` is the command ``keystow``."""

from .command import main

raise SystemExit(main())
