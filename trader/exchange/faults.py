"""Faults are data: which requests they meet, when in a request's life, and what goes wrong.

    {"name": "lost reply", "method": "POST", "path": "/api/v3/order", "nth": 1, "phase": "after", "action": "drop"}

A fault meets a request whose method and path it names (`*` at the end of a path stands for anything), counted from 1
per fault since the list was set (`nth` is a number or [first, last]; without it, every one), while the virtual time
lies in [`from`, `until`). `phase` "before" happens before anything is committed, "after" when it has been.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from trader.core.errors import ConfigError
from trader.core.types import parse_time
from trader.exchange.matching import Book
from trader.exchange.replies import Reply, dump

MATCH_KEYS = frozenset({"name", "method", "path", "nth", "from", "until", "phase", "action"})
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
}
KLINE_EDITS = ("extreme", "late", "gap", "unsorted", "nan", "short", "stale", "spike")
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
}
AMOUNTS = {
    "share": (re.compile(r"0|1|0?\.[0-9]{1,8}|1\.0{1,8}"), "from 0 to 1"),
    "base": (re.compile(r"[0-9]{1,9}(\.[0-9]{1,8})?"), "of zero or more"),
    "amount": (re.compile(r"-?[0-9]{1,12}(\.[0-9]{1,8})?"), "of up to 12 and 8 digits"),
}
PLAIN = re.compile(r"[0-9]{1,20}(\.[0-9]{1,20})?")


@dataclass(slots=True)
class Fault:
    """One fault, checked; `seen` counts the requests that its method and path have met."""

    name: str
    method: str
    path: str
    first: int
    last: int | None
    from_ms: int
    until_ms: int | None
    phase: str
    action: str
    settings: dict[str, Any]
    seen: int = 0

    def meets(self, method: str, path: str, now_ms: int) -> bool:
        """Whether this request is one of those it is meant for; counts it."""
        if self.method not in ("*", method) or not _path_fits(self.path, path):
            return False
        if now_ms < self.from_ms or (self.until_ms is not None and now_ms >= self.until_ms):
            return False
        self.seen += 1
        return self.seen >= self.first and (self.last is None or self.seen <= self.last)

    def spoil(self, reply: Reply) -> Reply:
        """The reply as this fault lets it out; faults that are no matter of the reply leave it alone."""
        reply.note = self.name
        if self.action in ("drop", "close", "reset", "hang_up"):
            reply.ending = "silence" if self.action == "drop" else self.action
        elif self.action == "truncate":
            reply.ending, reply.sent_bytes = "truncate", int(self.settings["bytes"])
        elif self.action == "drip":
            reply.drip_bytes_per_s = float(self.settings["bytes_per_s"])
        elif self.action == "reply":
            body = self.settings["body"]
            reply.status = int(self.settings["status"])
            reply.body = body.encode() if isinstance(body, str) else dump(body)
            reply.headers = {**reply.headers, **self.settings["headers"]}
        return reply


@dataclass(slots=True)
class Plan:
    """The faults that meet one request, and what they change about the exchange for it."""

    faults: list[Fault] = field(default_factory=list)

    def of(self, phase: str, *actions: str) -> list[Fault]:
        """The plan's faults of a phase, of these actions (all if none are named), in the order of the list."""
        return [f for f in self.faults if f.phase == phase and (not actions or f.action in actions)]

    def has(self, action: str) -> bool:
        """Whether an action is among them."""
        return any(fault.action == action for fault in self.faults)

    def total(self, action: str, setting: str) -> float:
        """The sum of a number over the faults of an action."""
        return sum(float(fault.settings[setting]) for fault in self.faults if fault.action == action)

    @property
    def book(self) -> Book:
        """How much the book takes for this request."""
        for fault in self.of("before", "book"):
            share, base = (
                Decimal(fault.settings[k]) if fault.settings[k] else None for k in ("share", "base")
            )
            return Book(share=share, base=base, fills=int(fault.settings["fills"]))
        return Book()

    @property
    def names(self) -> str:
        """The faults' names, for the log of requests."""
        return ",".join(fault.name for fault in self.faults)


def plan_for(faults: Iterable[Fault], method: str, path: str, now_ms: int) -> Plan:
    """Find the faults that meet a request; each one that looks at it counts it."""
    return Plan([fault for fault in faults if fault.meets(method, path, now_ms)])


def parse_faults(raw: Any) -> list[Fault]:
    """Check a list of faults as it came from JSON. Raises ConfigError that says which one and why."""
    if not isinstance(raw, list | tuple):
        raise ConfigError("faults must be a JSON list of objects")
    return [_parse(index, item) for index, item in enumerate(raw)]


def _parse(index: int, raw: Any) -> Fault:
    where = f"fault {index}"
    if not isinstance(raw, Mapping) or raw.get("action") not in ACTIONS:
        raise ConfigError(f"{where}: needs an 'action' out of {', '.join(ACTIONS)}")
    action = str(raw["action"])
    defaults, phases = ACTIONS[action]
    unknown = set(raw) - MATCH_KEYS - set(defaults)
    lacking = [name for name, value in defaults.items() if value is None and name not in raw]
    if unknown or lacking:
        raise ConfigError(f"{where} ({action}): unknown {sorted(unknown)}, missing {lacking}")
    phase = raw.get("phase", phases[0])
    if phase not in phases:
        raise ConfigError(f"{where} ({action}): phase must be one of {', '.join(phases)}, not {phase!r}")
    first, last = _range(where, raw.get("nth"))
    return Fault(
        name=str(raw.get("name", action)),
        method=str(raw.get("method", "*")).upper(),
        path=str(raw.get("path", "*")),
        first=first,
        last=last,
        from_ms=_moment(where, raw.get("from", 0)),
        until_ms=None if raw.get("until") is None else _moment(where, raw["until"]),
        phase=phase,
        action=action,
        settings=_settings(
            f"{where} ({action})",
            action,
            {name: raw.get(name, value) for name, value in defaults.items()},
        ),
    )


def _settings(where: str, action: str, settings: dict[str, Any]) -> dict[str, Any]:
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


def _range(where: str, nth: Any) -> tuple[int, int | None]:
    if nth is None:
        return 1, None
    pair = [nth, nth] if isinstance(nth, int) else nth
    if not isinstance(pair, list) or len(pair) != 2 or not all(isinstance(n, int) and n >= 1 for n in pair):
        raise ConfigError(f"{where}: nth must be a number from 1 on, or [first, last]; not {nth!r}")
    return pair[0], pair[1]


def _moment(where: str, value: Any) -> int:
    if isinstance(value, str):
        return parse_time(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ConfigError(f"{where}: a time is milliseconds or ISO text, not {value!r}")
    return value


def _path_fits(pattern: str, path: str) -> bool:
    return path.startswith(pattern[:-1]) if pattern.endswith("*") else path == pattern
