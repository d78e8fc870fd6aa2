"""What help says: the first page, the topics and the commands, each against what it is about."""

import argparse
import pkgutil
import re
from pathlib import Path

import pytest
from commands import complaint, keystow

from keystow.command.failures import status_of
from keystow.command.pages import first_page, topic_page
from keystow.command.parsing import COMMANDS, GROUPS, parser_of
from keystow.command.topics import KINDS, SCHEMES, STATUSES, TOPICS

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
DESTINATIONS, ERRORS = ((ROOT / "docs" / name).read_text("utf-8") for name in ("destinations.md", "errors.md"))


def printed(*arguments, **environment):
    ran = keystow(*arguments, **environment)
    assert (ran.status, ran.err) == (0, "")
    return ran.out


def unmarked(text):
    """Markdown without code marks and links."""
    return re.sub(r" \(\[[^]]*\]\([^)]*\)\)", "", text).replace("`", "").strip()


def table_of(page, heading):
    """The first two cells of each row of the table below that line, as plain text."""
    rows = page.partition(f"{heading}\n")[2].partition("\n\n")[0].splitlines()
    return [tuple(unmarked(cell) for cell in row.split("|")[1:3]) for row in rows]


def test_a_call_without_arguments_prints_the_first_page():
    assert printed() == printed("--help") == printed("help") == first_page(GROUPS)


def test_the_first_page_names_each_command_topic_scheme_and_status():
    page = first_page(GROUPS)
    rows = set(re.findall(r"^  ([a-z-]+)  ", page, re.MULTILINE))
    assert rows == {*COMMANDS, *TOPICS}
    flat = " ".join(page.split())
    assert [scheme for scheme in SCHEMES if scheme not in flat] == []
    assert [status for status, meaning in STATUSES.items() if f"{status} {meaning}" not in flat] == []


@pytest.mark.parametrize("page", [first_page(GROUPS), *(topic_page(*each) for each in TOPICS.items())])
def test_a_page_fits_a_terminal_of_80_columns(page):
    assert [line for line in page.splitlines() if len(line) > 80] == []
    assert page.endswith("\n")
    assert not page.endswith("\n\n")


@pytest.mark.parametrize("topic", TOPICS)
def test_help_with_a_topic(topic):
    page = printed("help", topic)
    assert page == topic_page(topic, TOPICS[topic])
    flat = " ".join(page.split())
    for block in TOPICS[topic].blocks:
        said = [block] if isinstance(block, str) else [f"{term} {meaning}" for term, meaning in block.items()]
        assert [text for text in said if text not in flat] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_help_with_a_command_is_its_help(command):
    assert printed("help", command, COLUMNS="100") == printed(command, "--help", COLUMNS="100")


@pytest.mark.parametrize(("asked", "meant"), [("destination", "destinations"), ("exit", None), ("pubish", "publish")])
def test_help_with_neither(asked, meant):
    line = complaint(keystow("help", asked), 2)
    assert line.startswith(f"there is no topic or command {asked!r}: ")
    assert line.endswith(f"did you mean {meant}?" if meant else ", ".join((*TOPICS, *COMMANDS)))


def test_help_and_the_docs_say_the_same_of_variables():
    docs = table_of((ROOT / "docs" / "variables.md").read_text("utf-8"), "| --- | --- | --- |")
    (table,) = (block for block in TOPICS["variables"].blocks if isinstance(block, dict))
    assert list(table.items()) == [(names.replace(" ", ", "), meaning) for names, meaning in docs]


def test_help_and_the_page_say_the_same_of_schemes():
    docs = table_of(DESTINATIONS, "| | |\n|---|---|")
    assert [(scheme.removesuffix(", …"), meaning) for scheme, meaning in docs[:-1]] == list(SCHEMES.items())[:-1]
    assert docs[-1][0].removesuffix(", …") == list(SCHEMES)[-1]


def test_help_and_the_page_say_the_same_of_exit_statuses():
    said = " ".join(ERRORS.partition("## Exit status\n\n")[2].partition(". `keystow help")[0].split())
    assert said == " · ".join(f"{status} {meaning}" for status, meaning in STATUSES.items())


def test_each_kind_stands_under_the_exit_status_that_its_errors_have():
    """The page of errors has each of them, as its own test says."""
    rows = table_of(ERRORS, "| --- | --- | --- | --- |")
    errors = [pkgutil.resolve_name(name) for _, name in rows]
    told = [(status, kind) for status, kinds in KINDS.items() for kind in kinds.split(", ")]
    assert sorted(told) == sorted((str(status_of(error.__new__(error))), error.kind) for error in errors)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_usage_has_all_that_has_to_be_given(command):
    parser = parser_of(command)
    usage = parser.format_usage()
    places = [action.metavar for action in parser._actions if not action.option_strings]
    assert re.findall(rf" \[?({'|'.join(map(re.escape, places))})(?=[] \n])", usage) == places
    assert [action.option_strings[0] for action in parser._actions if action.option_strings and action.required] == (
        {"url": ["--expires"], "ticket": ["--expires"]}.get(command, [])
    )
    assert ("--expires" in usage) == (command in {"url", "ticket"})
    assert [group.required for group in parser._mutually_exclusive_groups].count(True) == usage.count("(--")


@pytest.mark.parametrize("command", COMMANDS)
def test_an_option_stands_once_and_in_a_group_with_a_title(command):
    groups = parser_of(command)._action_groups
    actions = [action for group in groups for action in group._group_actions]
    assert len(actions) == len(set(map(id, actions)))
    assert all(group.title for group in groups)
    assert all(action.help and action.help is not argparse.SUPPRESS for action in actions)
    assert max(len(group._group_actions) for group in groups) <= 15
