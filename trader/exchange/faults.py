"""Faults are data: which requests they meet, when in a request's life, and what goes wrong.

    {"name": "lost reply", "method": "POST", "path": "/api/v3/order", "nth": 1, "phase": "after", "action": "drop"}

A fault meets a request whose method and path it names (`*` at the end of a path stands for anything), counted from 1
per fault since the list was set (`nth` is a number or [first, last]; without it, every one), while the virtual time
lies in [`from`, `until`), and, where `since` names another fault of the list, after that one has met a request. With `symbol`
it meets only requests that name this symbol; `status` and `filters` are a matter of the symbol itself, so they meet requests
that name no symbol as well, and show in their answer at this symbol alone.
`phase` "before" happens before anything is committed, "after" when it has been. A fault whose action begins with `stream_` meets
no request but the messages of streams (`stream.py`): `nth` counts the closed bars that are told.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from trader.core.errors import ConfigError
from trader.core.types import parse_time
from trader.exchange.fault_settings import ACTIONS, OF_STREAMS, STREAM_METHOD, checked_settings
from trader.exchange.matching import Book
from trader.exchange.replies import Reply, dump

MATCH_KEYS = frozenset(
    {"name", "method", "path", "symbol", "nth", "from", "until", "since", "phase", "action"}
)
# What these change is seen wherever the symbol is.
OF_THE_SYMBOL = ("status", "filters")


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
    since: str
    phase: str
    action: str
    settings: dict[str, Any]
    symbol: str = ""
    seen: int = 0

    @property
    def happened(self) -> bool:
        """Whether it has met the first request that it is meant for."""
        return self.seen >= self.first

    @property
    def meets_all(self) -> bool:
        """Whether no `nth` limits it."""
        return self.first == 1 and self.last is None

    def meets(self, method: str, path: str, named: Collection[str], now_ms: int) -> bool:
        """Whether this request, which names these symbols, is one of those it is meant for; counts it."""
        if self.action.startswith(OF_STREAMS) != (method == STREAM_METHOD):
            return False
        if self.method not in ("*", method) or not _path_fits(self.path, path):
            return False
        if self.symbol and self.symbol not in named and (named or self.action not in OF_THE_SYMBOL):
            return False
        if now_ms < self.from_ms or (self.until_ms is not None and now_ms >= self.until_ms):
            return False
        self.seen += 1
        return self.happened and (self.last is None or self.seen <= self.last)

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
class RequestFaults:
    """The faults that meet one request, and what they change about the exchange for it."""

    faults: list[Fault] = field(default_factory=list)

    def of(self, phase: str, *actions: str) -> list[Fault]:
        """The plan's faults of a phase, of these actions (all if none are named), in the order of the list."""
        return [f for f in self.faults if f.phase == phase and (not actions or f.action in actions)]

    def of_symbol(self, symbol: str, action: str) -> list[Fault]:
        """The plan's faults of an action that hold for a symbol."""
        return [f for f in self.faults if f.action == action and f.symbol in ("", symbol)]

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


def plan_for(
    faults: Collection[Fault], method: str, path: str, named: Collection[str], now_ms: int
) -> RequestFaults:
    """Find the faults that meet a request, which names these symbols; each one that looks at it counts it."""
    happened = {"", *(fault.name for fault in faults if fault.happened)}
    return RequestFaults([f for f in faults if f.since in happened and f.meets(method, path, named, now_ms)])


def parse_faults(raw: Any) -> list[Fault]:
    """Check a list of faults as it came from JSON. Raises ConfigError that says which one and why."""
    if not isinstance(raw, list | tuple):
        raise ConfigError("faults must be a JSON list of objects")
    faults = [_parse(index, item) for index, item in enumerate(raw)]
    names = {fault.name for fault in faults}
    for index, fault in enumerate(faults):
        if fault.since and (fault.since not in names or fault.since == fault.name):
            others = ", ".join(sorted(names - {fault.name})) or "none"
            raise ConfigError(
                f"fault {index}: since must name another fault here ({others}), not {fault.since!r}"
            )
    return faults


def _parse(index: int, raw: Any) -> Fault:
    where = f"fault {index}"
    action, phase = _action_and_phase(where, raw)
    defaults, _ = ACTIONS[action]
    first, last = _range(where, raw.get("nth"))
    return Fault(
        name=str(raw.get("name", action)),
        method=str(raw.get("method", "*")).upper(),
        path=str(raw.get("path", "*")),
        symbol=_symbol(where, raw.get("symbol", "")),
        first=first,
        last=last,
        from_ms=_moment(where, raw.get("from", 0)),
        until_ms=None if raw.get("until") is None else _moment(where, raw["until"]),
        since=str(raw.get("since", "")),
        phase=phase,
        action=action,
        settings=checked_settings(
            f"{where} ({action})",
            action,
            {name: raw.get(name, value) for name, value in defaults.items()},
        ),
    )


def _action_and_phase(where: str, raw: Any) -> tuple[str, str]:
    """What a fault does and when, its keys checked against what that action knows."""
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
    return action, phase


def _symbol(where: str, value: Any) -> str:
    if not isinstance(value, str) or not (value == "" or value.isalnum()):
        raise ConfigError(f"{where}: symbol must be a trading pair, such as BTCUSDT, not {value!r}")
    return value


def _range(where: str, nth: Any) -> tuple[int, int | None]:
    if nth is None:
        return 1, None
    pair = [nth, nth] if isinstance(nth, int) else nth
    whole = isinstance(pair, list) and len(pair) == 2 and all(isinstance(n, int) and n >= 1 for n in pair)
    if not whole or pair[0] > pair[1]:
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
