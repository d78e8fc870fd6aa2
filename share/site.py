"""What the site has besides the pages in docs: pages from elsewhere in the project, and the command's reference.

mkdocs calls these functions by their names while it makes the site (``hooks`` in mkdocs.yml).
"""

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

from share.calls import calls
from share.reference import command, exit_status

ROOT = Path(__file__).parent.parent
OUTSIDE = {
    "README.md": "index.md",
    "SECURITY.md": "security.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "benchmarks/RESULTS.md": "benchmarks.md",
    "benchmarks/results.svg": "results.svg",
}
"""Files that do not lie in docs, and where the site has them."""

_INSIDE = {page: path for path, page in OUTSIDE.items()}
_LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)")


def on_config(config: Any) -> None:
    """Spells out the folders in the navigation."""
    config.nav = list(_spelt_out(config.nav, Path(config.docs_dir)))


def on_files(files: Any, config: Any) -> None:
    """Adds what lies outside of docs, and what the command says of itself."""
    for path, page in OUTSIDE.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / path)))
    files.append(File.generated(config, "command.md", content=command(calls())))
    files.append(File.generated(config, "exit-status.md", content=exit_status()))


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Turns links between the project's files into those between pages; of one to what is no page the text stays."""
    at = page.file.src_uri
    if at == "index.md":
        page.meta["hide"] = ["navigation"]  # it would be alone there
    source = _INSIDE.get(at, f"docs/{at}")

    def turned(link: re.Match[str]) -> str:
        image, text, target = link.groups()
        path, mark, anchor = target.partition("#")
        if not path or ":" in path:
            return link[0]
        named = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
        if named not in OUTSIDE and not named.startswith("docs/") and (ROOT / named).exists():
            return text
        there = OUTSIDE.get(named, named.removeprefix("docs/"))
        return f"{image}[{text}]({posixpath.relpath(there, posixpath.dirname(at) or '.')}{mark}{anchor})"

    return _LINK.sub(turned, markdown)


def _spelt_out(entries: list[Any], docs: Path) -> Iterator[Any]:
    for entry in entries:
        title, what = next(iter(entry.items())) if isinstance(entry, dict) else (None, entry)
        if isinstance(what, str) and what.endswith("*.md"):
            what = sorted(path.relative_to(docs).as_posix() for path in docs.glob(what))
        elif isinstance(what, list):
            what = list(_spelt_out(what, docs))
        if what:
            yield {title: what} if title else what
