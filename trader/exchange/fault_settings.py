"""What each fault can be told, and within which bounds."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from trader.core.errors import ConfigError

# Each action, the settings it takes with their defaults (None: must be given), and the phases it may have.
BOTH, BEFORE, AFTER = ("before", "after"), ("before",), ("after",)
ACTIONS: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "drop": ({}, BOTH),
    "close": ({}, BOTH),
    "hang_up": ({}, AFTER),
    "reset": ({}, BOTH),
    "delay": ({"seconds": None}, BOTH),
    "advance": ({"ms": None}, BOTH),
    "reply": ({"status": 200, "body": "", "headers": {}}, BOTH),
    "truncate": ({"bytes": 20}, AFTER),
    "drip": ({"bytes_per_s": 2}, AFTER),
    "klines": ({"edit": None}, AFTER),
    "skew": ({"ms": None}, BEFORE),
    "lag": ({"ms": 0, "wall_s": 0}, BEFORE),
    "book": ({"share": "", "base": "", "fills": 1}, BEFORE),
    "status": ({"status": "HALT"}, BEFORE),
    "filters": ({"set": None}, BEFORE),
    "late_commit": ({"ms": 8000, "wall_s": 0}, BEFORE),
    "limit_429": ({"seconds": 30}, BEFORE),
    "ban_418": ({"seconds": 120}, BEFORE),
    "revoke_key": ({}, BEFORE),
    "no_trade": ({}, BEFORE),
    "bad_signature": ({}, BEFORE),
    "wipe": ({}, BEFORE),
    "fill": ({}, BEFORE),
    "deposit": ({"asset": None, "amount": None}, BEFORE),
    "stream_silence": ({}, BEFORE),
    "stream_disconnect": ({"hours": 24}, BEFORE),
    "stream_twice": ({"times": 2}, BEFORE),
    "stream_unordered": ({}, BEFORE),
    "stream_late": ({"ms": 2000, "wall_s": 0}, BEFORE),
    "stream_lie": ({}, BEFORE),
    "stream_garbage": ({}, BEFORE),
}
# What the messages of a stream are matched by; faults of streams meet no request, and others meet no message.
STREAM_METHOD, OF_STREAMS = "STREAM", "stream_"
KLINE_EDITS = ("extreme", "late", "gap", "unsorted", "nan", "short", "stale", "spike", "halved")
STATUSES = ("TRADING", "END_OF_DAY", "HALT", "BREAK", "CANCEL_ONLY")
YEAR_S = 365 * 86_400
# Within these bounds a fault means something; beyond them the exchange itself would break.
BOUNDS = {
    "seconds": (0, YEAR_S),
    "ms": (-1000 * YEAR_S, 1000 * YEAR_S),
    "wall_s": (0, YEAR_S),
    "bytes": (0, 10**9),
    "bytes_per_s": (0.001, 10**9),
    "fills": (1, 1_000),
    "hours": (0, 1_000 * 24 * 365),
    "times": (1, 1_000),
}
AMOUNTS = {
    "share": (re.compile(r"0|1|0?\.[0-9]{1,8}|1\.0{1,8}"), "from 0 to 1"),
    "base": (re.compile(r"[0-9]{1,9}(\.[0-9]{1,8})?"), "of zero or more"),
    "amount": (re.compile(r"-?[0-9]{1,12}(\.[0-9]{1,8})?"), "of up to 12 and 8 digits"),
}
PLAIN = re.compile(r"[0-9]{1,20}(\.[0-9]{1,20})?")


def checked_settings(where: str, action: str, settings: dict[str, Any]) -> dict[str, Any]:
    """The settings of one fault, amounts as text. Raises ConfigError that names the setting and what it may be."""
    for name, value in settings.items():
        if name in BOUNDS:
            least, most = BOUNDS[name]
            if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
                raise ConfigError(
                    f"{where}: {name} must be a number from {least:g} to {most:g}, not {value!r}"
                )
        elif name in AMOUNTS:
            settings[name] = str(value)
            pattern, expected = AMOUNTS[name]
            if value != "" and not pattern.fullmatch(settings[name]):
                raise ConfigError(f"{where}: {name} must be a decimal {expected}, not {value!r}")
        else:
            expected, is_good = CHECKS.get(f"{action} {name}") or CHECKS[name]
            if not is_good(value):
                raise ConfigError(f"{where}: {name} must be {expected}, not {value!r}")
    return settings


def _is_header(pair: tuple[Any, Any]) -> bool:
    return all(isinstance(text, str) and text.isascii() and text.isprintable() for text in pair)


def _is_change(change: Any) -> bool:
    return isinstance(change, Mapping) and all(
        isinstance(figure, bool) or PLAIN.fullmatch(str(figure)) for figure in change.values()
    )


CHECKS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "status status": (f"one of {', '.join(STATUSES)}", lambda value: value in STATUSES),
    "reply status": (
        "a number from 100 to 599",
        lambda value: isinstance(value, int) and not isinstance(value, bool) and 100 <= value <= 599,
    ),
    "body": ("anything", lambda value: True),
    "headers": (
        "an object of printable texts",
        lambda value: isinstance(value, Mapping) and all(map(_is_header, value.items())),
    ),
    "edit": (f"one of {', '.join(KLINE_EDITS)}", lambda value: value in KLINE_EDITS),
    "set": (
        "an object of filters, each an object of numbers in plain notation",
        lambda value: isinstance(value, Mapping) and all(map(_is_change, value.values())),
    ),
    "asset": ("the name of an asset", lambda value: isinstance(value, str) and value.isalnum()),
}
