"""The pages that take a while, typed as they stand: the README after its demo, the parity of architecture.md, and book.md."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path

import pytest

from tests.docs.blocks import ROOT, type_page
from tests.support.rig import command

pytestmark = pytest.mark.timeout(1200)  # the first test waits for the demo and for the pages beside it

PATIENCE_S = 280
BESIDE = ("architecture.md", "book.md")


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[str, Future[None]]]]:
    """A folder with the market of a demo, for the README; meanwhile the other two pages were typed, each in its own folder with
    its own port: they wait for seconds, in which the demo computes."""
    folder = tmp_path_factory.mktemp("readme")
    with ThreadPoolExecutor(len(BESIDE)) as pool:
        typing = {
            page: pool.submit(type_page, ROOT / "docs" / page, tmp_path_factory.mktemp("page"), PATIENCE_S)
            for page in BESIDE
        }
        command("trader", "demo", "--trials", "1", cwd=folder)  # its bars are those of any number of trials
        wait(typing.values())  # the README's hours are a clock's, which nothing beside them may disturb
        yield folder, typing


def test_the_readme_types_true(begun: tuple[Path, dict[str, Future[None]]]) -> None:
    """Every block ends well: the study and the report are written, and `trader run` has decided and closed hours of the
    exchange in time, none of them missed."""
    folder, _ = begun
    type_page(ROOT / "README.md", folder, PATIENCE_S)
    assert (folder / "study" / "P.json").exists()
    lines = command("trader", "journal", "--jsonl", cwd=folder, TRADER_TRACKERS="none").stdout
    hours = [json.loads(line) for line in lines.splitlines()]
    assert len([hour for hour in hours if hour["p_up"] is not None]) >= 2, lines
    assert [hour["reason"] for hour in hours[1:] if hour["reason"] == "missed"] == []


@pytest.mark.parametrize("page", BESIDE)
def test_a_page_types_true(page: str, begun: tuple[Path, dict[str, Future[None]]]) -> None:
    """Each ends with equal bytes: backtest, replay and a loop of ticks of one symbol; backtest and replay of a book of three."""
    begun[1][page].result()
