"""Fixtures of the streams' tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.venue_kit import Sim, running


@pytest.fixture
def sim() -> Iterator[Sim]:
    """A fresh exchange that stands still at AT with 10,000 USDT."""
    with running() as started:
        yield started
