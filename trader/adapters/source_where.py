"""Conditions of a SELECT that keep the rows of one symbol and of some hours. Only names that are quoted, symbols that are checked
and literals made from numbers enter them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from trader.adapters.source_address import TimeUnit
from trader.core.quote_assets import quote_asset_of
from trader.core.types import DAY_MS, iso

# How many ms a unit has, and how many of it a ms has: one of them is 1.
PER_MS: Mapping[str, tuple[int, int]] = MappingProxyType({"s": (1000, 1), "ms": (1, 1), "us": (1, 1000)})
NS_PER_MS = 1_000_000

# How a table writes times: whole numbers, those in texts, ISO texts, timestamps with and without a zone.
Clock = Literal["number", "digits", "text", "zoned", "naive"]


def quoted(name: str) -> str:
    """An identifier as SQL writes any name."""
    return '"' + name.replace('"', '""') + '"'


def spellings(symbol: str) -> list[str]:
    """How tables write a symbol: BTCUSDT, BTC/USDT, BTC-USDT, BTC_USDT, and in small letters."""
    quote = quote_asset_of(symbol) or ""
    base = symbol.removesuffix(quote)
    parted = [f"{base}{mark}{quote}" for mark in "/-_"] if base and quote else []
    plain = [re.sub(r"[^A-Z0-9/_-]", "", it) for it in (symbol, *parted)]
    return [*plain, *(it.lower() for it in plain)]


def bounds(column: str, clock: Clock, unit: TimeUnit, first: int, last: int, text_order: str) -> str:
    """The condition that keeps the rows that open within first <= t < last (UTC ms). Of numbers in a unit that nobody said each
    row may have its own; of texts the days around are kept, since each may have a zone of its own."""
    name = quoted(column)
    if clock in ("number", "digits"):
        number = name if clock == "number" else f"CAST({name} AS BIGINT)"
        scales = [PER_MS[unit]] if unit else [*PER_MS.values(), (1, NS_PER_MS)]
        spans = [(first * scale // divisor, last * scale // divisor) for divisor, scale in scales]
        return f"({' OR '.join(f'({number} >= {low} AND {number} < {high})' for low, high in spans)})"
    if clock == "text":
        low, high = _day(first - DAY_MS), _day(last + 2 * DAY_MS)
        return f"{name}{text_order} >= '{low}' AND {name}{text_order} < '{high}'"
    word, zone = ("TIMESTAMPTZ", "+00:00") if clock == "zoned" else ("TIMESTAMP", "")
    low, high = (iso(it).replace("T", " ").replace("Z", zone) for it in (first, last))
    return f"{name} >= {word} '{low}' AND {name} < {word} '{high}'"


def _day(time: int) -> str:
    return iso(time)[:10]
