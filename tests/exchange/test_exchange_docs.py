"""docs/exchange.md says what there is."""

from __future__ import annotations

import re
from pathlib import Path

from trader.exchange.faults import ACTIONS, KLINE_EDITS
from trader.exchange.routes import ROUTES
from trader.exchange.sim_api import SIM_ROUTES

TEXT = (Path(__file__).parents[2] / "docs" / "exchange.md").read_text()


def test_every_endpoint_is_listed_and_no_other() -> None:
    """The two tables of endpoints are the routing tables."""
    listed = set(
        re.findall(r"^\| (GET|POST|DELETE) (/(?:api|sapi|fapi|dapi|sim)/\S+) \|", TEXT, re.MULTILINE)
    )
    assert listed == set(ROUTES) | set(SIM_ROUTES)


def test_every_fault_action_is_listed_with_its_settings() -> None:
    """The table of actions names each action and each of its settings."""
    rows = dict(re.findall(r"^\| `([a-z_0-9]+)` \| ([^|]*)\|", TEXT, re.MULTILINE))
    assert {name: set(re.findall(r"`(\w+)`", cell)) for name, cell in rows.items()} == {
        name: set(settings) for name, (settings, _) in ACTIONS.items()
    }
    assert all(f"`{edit}`" in TEXT for edit in KLINE_EDITS)
