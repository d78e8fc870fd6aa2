"""``python -m share DIRECTORY`` writes the files as they are installed; ``make help-files`` does so right here."""

import sys
from pathlib import Path

from . import bash, fish, manual, zsh
from .calls import calls

FILES = {
    "bash-completion/completions/keystow": bash.completion,
    "zsh/site-functions/_keystow": zsh.completion,
    "fish/vendor_completions.d/keystow.fish": fish.completion,
    "man/man1/keystow.1": manual.page,
}

(directory,) = sys.argv[1:]
found = calls()
for name, made in FILES.items():
    path = Path(directory, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(made(found), "utf-8")
