"""Whoever types a page's blocks in order, in a fresh folder, sees what the page says."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.docs.blocks import PAGES, ROOT, TYPED, Block, blocks_of, matches, type_page, typed
from tests.support.forked_programs import programs

# These let hours pass, or start a dozen processes: `tests/system/test_pages_typed.py` types them.
SLOW = ("README.md", "architecture.md", "book.md")
TYPED_PAGES = [page for page in PAGES if page.name not in SLOW and any(it.is_typed for it in blocks_of(page))]
BLOCKS = [block for page in PAGES for block in blocks_of(page)]
LEAST_WORDS = 4


def named(page: Path) -> str:
    """For a test's name."""
    return page.stem


@pytest.fixture
def forked() -> Path:
    """Both programs, for a shell's path; each call is forked and imports nothing anew."""
    return programs()


@pytest.mark.parametrize("page", TYPED_PAGES, ids=named)
def test_a_page_types_true(page: Path, tmp_path: Path, forked: Path) -> None:
    """Every block ends well, and prints what stands below it."""
    type_page(page, tmp_path, timeout_s=120, programs=forked)


def test_what_is_not_typed_says_why() -> None:
    """A reason in words, or a test that there is and that names the page."""
    for block in BLOCKS:
        if block.test:
            assert block.page.name in (ROOT / block.test).read_text(), (
                f"{block.place}: {block.test} runs it not"
            )
        elif block.language in TYPED and not block.is_typed:
            assert len(block.reason.split()) >= LEAST_WORDS, f"{block.place}: {block.reason!r} is no reason"


def test_every_block_has_a_language() -> None:
    """One without is neither typed nor compared; `console` would be typed by nobody."""
    known = {*TYPED, "text", "json", "toml", "yaml"}
    assert [block.place for block in BLOCKS if block.language not in known] == []


def test_data_that_is_shown_can_be_read() -> None:
    """JSON, TOML and YAML are what they are called."""
    readers: dict[str, Callable[[str], Any]] = {
        "json": json.loads,
        "toml": tomllib.loads,
        "yaml": yaml.safe_load,
    }
    for block in BLOCKS:
        if block.language in readers:
            assert readers[block.language](block.body), block.place


def test_a_block_that_fails_or_prints_something_else_is_seen(tmp_path: Path) -> None:
    """The reader of these tests notices: a failing line, one that would follow it, and another result."""
    page = tmp_path / "page.md"
    page.write_text(
        "```sh\nX=1\necho one\n```\n```text\ntwo\n```\n\n```sh\necho $X three\nfalse\n```\n\n```sh\necho four\n```\n"
    )
    blocks = [
        Block(ROOT / "docs" / "x.md", it.line, it.language, it.body, it.reason, it.test, it.prints)
        for it in blocks_of(page)
        if it.is_typed
    ]
    said = typed(blocks, tmp_path, timeout_s=20)
    assert list(said.printed.values()) == ["one\n", "1 three\n", ""]
    assert "docs/x.md:9 ended with 1" in said.failure
    with pytest.raises(AssertionError, match=r"this was printed:\s+one"):
        matches(said.printed[1], blocks[0])
