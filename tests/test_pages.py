"""Every block of code in README and docs is run, or, where it is another's service that would run it, parsed."""

import json
from pathlib import Path

import pages
import pytest
import yaml

# By the page: what tests of their own run, with more to say of what comes of it.
ELSEWHERE = {
    "README.md": {"sh", "python"},
    "docs/doctor.md": {"sh", "python"},
    "docs/guides/testing.md": {"py"},
    "docs/listing.md": {"sh", "python"},
    "docs/many.md": {"python"},
    "docs/options.md": {"sh", "python"},
    "docs/permissions.md": {"sh", "python"},
    "docs/publishing.md": {"sh"},
    "docs/reliability.md": {"console"},  # an hour
    "docs/results-of-others.md": {"python"},
}
RUN = {"sh": pages.carry_out, "console": pages.type_in}
PARSED = {"yaml": lambda text: list(yaml.safe_load_all(text)), "json": json.loads, "python3": pages.parses}
NO_CODE = {"text", ""}


def to_be_run(page):
    return [
        (language, code)
        for language, code in pages.all_blocks(pages.PAGES[page])
        if language in {*RUN, "python", "py"} and language not in ELSEWHERE.get(page, ())
    ]


@pytest.mark.server
@pytest.mark.parametrize("page", [page for page in pages.PAGES if to_be_run(page)])
def test_what_a_page_has_to_run(page, workplace):
    """In the order in which it stands; the program, which goes on from block to block, at the end."""
    program = ""
    for language, code in to_be_run(page):
        if language == "python":
            program += code
        else:
            RUN[language](code)
    if program:
        pages.run_program(program)


@pytest.mark.parametrize("page", list(pages.PAGES))
def test_there_is_no_block_that_nothing_looks_at(page):
    for language, code in pages.all_blocks(pages.PAGES[page]):
        assert language in {*RUN, *PARSED, *NO_CODE, "python", "py"}
        if language in PARSED:
            assert PARSED[language](code) != []


@pytest.mark.server
def test_what_the_page_on_publishing_says_of_results(workplace):
    for code in pages.blocks(pages.PAGES["docs/publishing.md"], "sh"):
        pages.carry_out(code)
    (shown,) = pages.blocks(pages.PAGES["docs/publishing.md"], "yaml")
    shown, printed = (yaml.safe_load(text) for text in (shown, Path("published.yaml").read_text()))
    assert printed["PublishedResult"]["Params"].keys() == {*shown["PublishedResult"]["Params"], "Endpoint"}
    assert [path.name for path in Path("fetched-tar").iterdir()] == ["results.tar"]
