"""Tests against a real venue run only where one is named and its keys are given; elsewhere they are deselected."""

from __future__ import annotations

import os

import pytest


def venue_is_given() -> bool:
    """TRADER_CONTRACT_VENUE is testnet, demo, or embedded with an exchange running; the first two need keys."""
    venue = os.environ.get("TRADER_CONTRACT_VENUE", "")
    keys = os.environ.get("TRADER_API_KEY") and os.environ.get("TRADER_API_SECRET")
    return venue == "embedded" or bool(venue and keys)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect what needs a venue; a skipped test would be an open question, these are none."""
    if venue_is_given():
        return
    away = [item for item in items if item.get_closest_marker("venue")]
    if away:
        config.hook.pytest_deselected(items=away)
        items[:] = [item for item in items if item not in away]
