"""Bars for crashes, an hour with an order, and a bot that has just begun at it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.crew import Begun, Scene, first_order, scene
from tests.rig_bars import made_bars


@pytest.fixture(scope="session")
def gappy_bars(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made bars with outages."""
    return made_bars(tmp_path_factory.mktemp("bars"), "2020-12-01", "2021-03-20")


@pytest.fixture(scope="session")
def order_hour(gappy_bars: Path, tmp_path_factory: pytest.TempPathFactory) -> int:
    """The first hour of a backtest that sends an order, UTC ms."""
    return first_order(tmp_path_factory.mktemp("backtest"), gappy_bars)


@pytest.fixture(scope="session")
def begun(gappy_bars: Path, order_hour: int, tmp_path_factory: pytest.TempPathFactory) -> Begun:
    """A bot that has begun at an hour with an order and has not ticked."""
    with scene(gappy_bars, tmp_path_factory.mktemp("begun"), order_hour) as made:
        return Begun(gappy_bars, made.store, order_hour)


@pytest.fixture
def fresh(begun: Begun, tmp_path: Path) -> Iterator[Scene]:
    """That bot, copied, at an exchange of its own."""
    with begun.again(tmp_path) as made:
        yield made
