"""The map names every page, links lead somewhere, commands and options that a page names exist, the README is short."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tests.commands.test_every_command import COMMANDS, options
from tests.docs.blocks import FENCE, PAGES, ROOT, blocks_of

README = ROOT / "README.md"
INDEX = ROOT / "docs" / "index.md"
MOST_LINES = 80
LINK = re.compile(r"\]\(([^)#\s]*)(#[^)\s]*)?\)")
SPAN = re.compile(r"`([^`\n]+)`")
# A word of a shell that ends a command, or sends its output elsewhere.
ENDS = ("&&", "||", "|", ";", ">", "&", "#")


def prose(page: Path) -> str:
    """A page without its blocks."""
    return FENCE.sub("", page.read_text())


def anchors(page: Path) -> set[str]:
    """The headings of a page as links name them."""
    heads = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {"#" + re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page: Path) -> None:
    """Files that are there, headings that are there."""
    for target, anchor in LINK.findall(prose(page)):
        if "://" in target:
            continue
        there = (page.parent / target).resolve() if target else page
        assert there.exists(), f"{page.name}: {target}"
        if anchor and there.suffix == ".md":
            assert anchor in anchors(there), f"{page.name}: {target}{anchor}"


def test_the_map_names_every_page() -> None:
    """A page that nobody finds is none."""
    linked = {target for target, _ in LINK.findall(INDEX.read_text())}
    assert {page.name for page in (ROOT / "docs").glob("*.md")} - {"index.md"} <= linked
    assert "docs/index.md" in README.read_text()


def test_the_readme_is_a_screen_and_a_half() -> None:
    """Its pictures apart."""
    lines = [line for line in README.read_text().splitlines() if not line.startswith("![")]
    assert len(lines) <= MOST_LINES


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_nothing_is_installed_under_a_name_that_is_not_ours(page: Path) -> None:
    """The package index has no such package of this project: whoever typed it would get a stranger's."""
    assert not re.search(r"pip install\s+['\"]?hourly-trader", page.read_text())


def calls(page: Path) -> list[str]:
    """What the page says of the two programs: each span of code, and each line of a block, that calls one."""
    spans = SPAN.findall(prose(page))
    lines = [line for block in blocks_of(page) if block.language == "sh" for line in block.body.splitlines()]
    found = [
        re.search(r"(?:^|[&|;$(]\s*|\s)((?:trader|backtest) [a-z].*)", text) for text in (*spans, *lines)
    ]
    return [one[1] for one in found if one]


def words_of(call: str) -> list[str]:
    """The words of one command, up to what ends it."""
    words = shlex.split(call.replace("<(", " "), comments=True, posix=True)
    end = next((at for at, word in enumerate(words) if word in ENDS or word.startswith(">")), len(words))
    return [word.rstrip(");") for word in words[:end]]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_command_and_option_exists(page: Path) -> None:
    """Read off the programs themselves: a verb that was renamed, or an option that is gone, is found here."""
    for call in calls(page):
        words = words_of(call)
        verb = next((tuple(words[:n]) for n in (3, 2) if tuple(words[:n]) in COMMANDS), None)
        if verb is None:  # a group of verbs, such as `trader models`, or the program's name in a sentence
            assert any(tuple(words) == known[: len(words)] for known in COMMANDS), f"{page.name}: {call}"
            continue
        given = {word.split("=")[0] for word in words if re.fullmatch(r"--[a-z][a-z0-9-]*(=.*)?", word)}
        assert given <= options(COMMANDS[verb]) | {"--help"}, f"{page.name}: {call}"
