"""Bars for crashes, an hour with an order, and a bot that has just begun at it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.book_crew import BegunBook, BookScene, begin_book
from tests.support.crew import VALUES, Begun, Scene, first_hour, scene
from tests.support.once import once
from tests.support.rig_bars import made_bars
from trader.core.types import iso


@pytest.fixture(scope="session")
def gappy_bars(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made bars with outages."""
    return made_bars(tmp_path_factory.mktemp("bars"), "2020-12-01", "2021-03-20")


@pytest.fixture(scope="session")
def begun(gappy_bars: Path, tmp_path_factory: pytest.TempPathFactory) -> Begun:
    """A bot that has begun at an hour in which it buys, and has not ticked."""
    folder = once(tmp_path_factory, "begun", lambda folder: _made(gappy_bars, folder))
    hour, halt_hour = json.loads((folder / "hours.json").read_text())
    return Begun(gappy_bars, folder / "bot", hour, halt_hour)


def _made(bars: Path, folder: Path) -> None:
    for name in ("looked", "bot"):
        (folder / name).mkdir()
    hour = first_hour(folder / "looked", bars, "2021-03-05", VALUES, "BUY", "enter")
    halt_hour = first_hour(folder / "looked", bars, iso(hour), VALUES, "SELL", "halt")
    (folder / "hours.json").write_text(json.dumps([hour, halt_hour]))
    with scene(bars, folder / "bot", hour):
        pass


@pytest.fixture
def fresh(begun: Begun, tmp_path: Path) -> Iterator[Scene]:
    """That bot, copied, at an exchange of its own."""
    with begun.again(tmp_path) as made:
        yield made


@pytest.fixture(scope="session")
def begun_book(tmp_path_factory: pytest.TempPathFactory) -> BegunBook:
    """A book of three symbols that has traded up to the hour before one that moves cash and trades all three."""
    return BegunBook(once(tmp_path_factory, "begun_book", begin_book))


@pytest.fixture
def fresh_book(begun_book: BegunBook, tmp_path: Path) -> Iterator[BookScene]:
    """That book, copied, at an exchange of its own."""
    with begun_book.again(tmp_path) as made:
        yield made
