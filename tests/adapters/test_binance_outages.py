"""The registry of holes in Binance's bars: what it explains, and that it is in order."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from trader.adapters.binance_outages import explain_gap, known_outages, outage_of
from trader.core.bars import Gap
from trader.core.types import HOUR_MS, parse_time


def test_known_gaps_are_explained() -> None:
    """A hole inside a listed outage says so; anything else is unlisted."""
    opened = parse_time("2021-04-25T05:00")
    assert explain_gap(Gap("BTCUSDT", opened + HOUR_MS, 3)) == "exchange outage 2021-04-25, listed"
    assert explain_gap(Gap("BTCUSDT", opened + HOUR_MS, 5)) == "unlisted"
    assert explain_gap(Gap("BTCUSDT", opened + 100 * HOUR_MS, 1)) == "unlisted"
    delisted = Gap("USDCUSDT", parse_time("2022-10-01"), 24)
    assert explain_gap(delisted) == "delisted 2022-09-29, listed"
    assert explain_gap(replace(delisted, symbol="BTCUSDT")) == "unlisted"
    assert outage_of(replace(delisted, symbol="BTCUSDT")) is None


def test_registry_is_sorted_and_sane() -> None:
    """Outages are ordered, end after they begin and do not overlap among those of the whole exchange."""
    outages = known_outages()
    assert list(outages) == sorted(outages, key=lambda outage: outage.start)
    assert all(outage.start < outage.stop for outage in outages)
    everywhere = [outage for outage in outages if not outage.symbols]
    assert all(a.stop <= b.start for a, b in pairwise(everywhere))
