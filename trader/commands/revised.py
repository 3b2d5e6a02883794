"""Revised bars: shown with both values and the time of their receipt, and the bars as they were stored at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from trader import terminal
from trader.adapters.bar_names import bar_file
from trader.adapters.files import read_bars, write_bars
from trader.adapters.revisions_file import RevisionsFile
from trader.config import Settings
from trader.core.errors import ConfigError
from trader.core.revisions import Revision, known_at
from trader.core.text import plural
from trader.core.types import iso, parse_time


def show_revisions(settings: Settings, symbols: Sequence[str], as_json: bool) -> None:
    """The revisions of each symbol, oldest first. Raises ConfigError or DataError."""
    found = {symbol: RevisionsFile(settings.bars).read(symbol) for symbol in symbols}
    if as_json:
        terminal.emit([_json(it) for revisions in found.values() for it in revisions])
        return
    for symbol, revisions in found.items():
        terminal.show(f"{symbol}: {plural(len(revisions), 'revision')} of collected bars")
        for it in revisions:
            terminal.show(f"  received {iso(it.received)[:19]}Z, {it.decision}: {it.in_words()}")


def write_known(
    settings: Settings, symbols: Sequence[str], at: str | None, out: Path | None, as_json: bool
) -> None:
    """The bars of one symbol as they were stored at a time. Raises ConfigError or DataError."""
    if at is None or out is None or len(symbols) != 1:
        raise ConfigError(
            "--known-at TIME and --out FILE belong together, and are of one symbol: say both, and --symbol for another"
        )
    time, (symbol,) = parse_time(at), symbols
    revisions = RevisionsFile(settings.bars).read(symbol)
    bars = known_at(read_bars(bar_file(settings.bars, symbol), symbol), revisions, time)
    if not len(bars):
        raise ConfigError(
            f"no collected bar of {symbol} had closed by {iso(time)}; choose a later --known-at"
        )
    undone = sum(
        it.decision == "accepted" and it.received > time and it.close_time <= time for it in revisions
    )
    write_bars(out, bars)
    said = {"symbol": symbol, "known_at": iso(time), "bars": len(bars), "undone": undone, "file": str(out)}
    if as_json:
        terminal.emit(said)
    else:
        terminal.show(
            f"{symbol}: {plural(len(bars), 'hour')} as stored at {iso(time)}, {plural(undone, 'later revision')} undone, in {out}"
        )


def _json(it: Revision) -> dict[str, Any]:
    return {
        "symbol": it.symbol,
        "close_time": iso(it.close_time),
        "received": iso(it.received),
        "decision": it.decision,
        "older": asdict(it.older),
        "newer": asdict(it.newer),
    }
