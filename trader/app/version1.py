"""Objects of version 1 (decision/1, attempt/1, champion/1 ...) as version 2 writes them: the only place that knows them.

A journal's objects lie at keys that are never written again, so their readers go through here for ever. Values are
passed on as they are, whatever they are: the reader of version 2 says what is wrong with them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from trader.core.types import Json

# By the name before the schema's slash: what a key of version 1 is called in version 2.
RENAMED: dict[str, Mapping[str, str]] = {
    "decision": {
        "equity_before": "equity_before_usdt",
        "state": "totals",
        "deadline": "deadline_ms",
        "version": "code_version",
    },
    "attempt": {"horizon_ms": "expires_at_ms"},
    "outcome": {"said": "message"},
    "record": {"state": "totals"},
    "totals": {
        "cash": "cash_usdt",
        "base_equity": "base_equity_usdt",
        "peak_equity": "peak_equity_usdt",
        "halted_at": "halted_at_ms",
        "entered_at": "entered_at_ms",
    },
    "deployment": {"start": "start_ms"},
    "champion": {
        "valid_from": "valid_from_ms",
        "why": "cause",
        "words": "message",
        "breach": "breach_number",
    },
    "halt": {"at": "at_ms", "words": "message"},
    "breach": {"at": "at_ms", "why": "reason"},
    "study": {"id": "study_id", "serve_from": "serve_from_ms"},
    "cursor": {"hour": "hour_ms"},
}
# What the earliest objects of version 1 had not, in the words of version 2.
ADDED: dict[str, Json] = {
    "decision": {"quantiles": []},
    "outcome": {"order_id": None, "transact_ms": None},
    "record": {"expected_price": None, "features": {}, "quantiles": []},
    "totals": {"entered_at_ms": None},
    "champion": {"message": "", "breach_number": 0, "card_sha256": ""},
    "halt": {"message": ""},
}


def modern(name: str, old: Json, symbol: str) -> Json:
    """The object of schema `<name>/1` as one of schema `<name>/2`. Its symbol is that of its key, "" for a note.

    Safe to repeat: equal objects give equal ones, the writer's token included. What an event carries of those before it
    becomes version 2 too.
    """
    new = {**_renamed(name, old), "schema": f"{name}/2"}
    if symbol:  # a note, which is none of the journal, names none
        new.setdefault("symbol", symbol)
    if name in MENDED:
        MENDED[name](new)
    if isinstance(new.get("earlier"), list):
        new["earlier"] = [_bare(name, event, symbol) for event in new["earlier"]]
    return new


def _renamed(name: str, old: Json) -> Json:
    names = RENAMED.get(name, {})
    return {**ADDED.get(name, {}), **{names.get(key, key): value for key, value in old.items()}}


def _bare(name: str, event: Any, symbol: str) -> Any:
    """An event as a later one carries it: without schema and token."""
    if not isinstance(event, dict):
        return event
    new = modern(name, event, symbol)
    return {key: value for key, value in new.items() if key not in ("schema", "token")}


def _decision(new: Json) -> None:
    new.pop("halts", None)  # it follows from the totals
    _record(new)
    filters = new.get("filters")
    if isinstance(filters, dict) and filters.get("max_qty") == "":
        new["filters"] = {**filters, "max_qty": None}


def _record(new: Json) -> None:
    if isinstance(new.get("totals"), dict):
        new["totals"] = _renamed("totals", new["totals"])


def _halt(new: Json) -> None:
    if new.get("kind") == "resume":
        new.pop("reason", None)  # it always was "person", as `by` is


MENDED: dict[str, Callable[[Json], None]] = {"decision": _decision, "record": _record, "halt": _halt}
