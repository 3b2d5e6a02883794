"""Bars that are collected into a file: from the signal's market, and from archives of the exchange."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trader import terminal
from trader.commands.common import AsJson, BarsDir, ParamsFile, StoreDir, Symbol, params_from
from trader.config import Settings, load_settings
from trader.core.errors import ConfigError, TraderError, WrongStore
from trader.core.text import plural
from trader.core.types import HOUR_MS, floor_hour, iso, parse_hour

if TYPE_CHECKING:
    from trader.app.collect import Collector, Side
    from trader.core.params import Params
    from trader.core.revisions import Decision
    from trader.core.types import Bars

NAME = re.compile(r"[A-Z0-9]{2,20}")


class Prefer(StrEnum):
    """Whose bars count where two sources differ: the archive's, or what was collected from the market."""

    ARCHIVE = "archive"
    MARKET = "market"


KEPT: dict[Prefer | None, Side] = {None: "neither", Prefer.ARCHIVE: "added", Prefer.MARKET: "known"}


def collect(
    start: Annotated[
        str | None, typer.Option("--from", help="first hour, UTC; default: go on from what is there")
    ] = None,
    stop: Annotated[str | None, typer.Option("--to", help="end, exclusive, UTC; default: now")] = None,
    archive: Annotated[
        list[str] | None,
        typer.Option(
            help="use these first: a zip of the exchange's archive, a folder of them, or the archive's own "
            "address, https://data.binance.vision; repeatable"
        ),
    ] = None,
    prefer: Annotated[
        Prefer | None,
        typer.Option(help="whose bars count where archive and market differ; default: refuse and list them"),
    ] = None,
    symbols: Annotated[
        str | None,
        typer.Option(
            help="several, such as BTCUSDT,ETHUSDT; default: the setting's, and the train_symbols of --params or else of "
            "the store's newest model"
        ),
    ] = None,
    compare: Annotated[
        bool,
        typer.Option(
            "--compare",
            help="ask for the stored bars of the span too and compare them; a database, a bucket or a folder "
            "(TRADER_DATA_URL) is always compared",
        ),
    ] = False,
    accept_revisions: Annotated[
        bool, typer.Option("--accept-revisions", help="take the source's values of stored bars that differ")
    ] = False,
    keep_stored: Annotated[
        bool, typer.Option("--keep-stored", help="leave stored bars that differ as they are, for good")
    ] = False,
    revisions: Annotated[
        bool,
        typer.Option(
            "--revisions", help="show the revised bars, with both values and their receipt; collect nothing"
        ),
    ] = False,
    known_at: Annotated[
        str | None,
        typer.Option(help="write the bars as they were stored at this time, UTC, to --out; collect nothing"),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="the Parquet file that --known-at writes")] = None,
    params: ParamsFile = None,
    symbol: Symbol = None,
    store: StoreDir = None,
    bars: BarsDir = None,
    as_json: AsJson = False,
) -> None:
    """Bring the file of collected bars to cover a span. Bars that it holds are not downloaded again,
    except the newest, which are compared. Without --from the file is extended to now. A stored bar that the source
    tells otherwise is never replaced unasked: the command ends with 2, names both values and keeps them (docs/sources.md).

    Example: trader collect --from 2021-01-01 --archive ~/Downloads/klines
    """
    settings = load_settings(symbol=symbol, store=store, bars=bars)
    wanted = _wanted(settings, symbols, params)
    if revisions or known_at or out:
        from trader.commands.revised import show_revisions, write_known

        if revisions:
            show_revisions(settings, wanted, as_json)
        else:
            write_known(settings, wanted, known_at, out, as_json)
        return
    request = Request(
        wanted,
        parse_hour(start) if start else None,
        parse_hour(stop) if stop else None,
        archive or [],
        KEPT[prefer],
        _decision(settings, compare, accept_revisions, keep_stored),
    )
    _tell(settings, _collected(settings, request, as_json), as_json)


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be collected. start: the first hour, UTC ms, None to go on from what is there; stop: exclusive, None for now.
    archives: that are read first. kept: whose bars count where an archive and the market differ. decision: of stored bars that
    differ, None where these are not compared."""

    symbols: tuple[str, ...]
    start: int | None
    stop: int | None
    archives: list[str]
    kept: Side
    decision: Decision | None


def _collected(settings: Settings, request: Request, as_json: bool) -> list[Collected]:
    """Bring every symbol's file to cover the span."""
    from trader import wiring
    from trader.adapters.clocks import WallClock
    from trader.app.collect import collect

    found: list[Collected] = []
    with terminal.progress("bars", quiet=as_json) as update:
        market = wiring.make_market(settings, WallClock(), update)
        try:
            main = wiring.make_collector(settings, market, say=terminal.say)
            last = floor_hour(market.time_ms()) + HOUR_MS if request.stop is None else request.stop
            for collector in map(main.of, request.symbols):
                first = _first_known(collector, main) if request.start is None else request.start
                stock = None
                if request.archives:
                    stock = _archived(settings, collector.symbol, request.archives, first, last)
                bars = collect(collector, first, last, stock, request.kept, request.decision)
                found.append(Collected(bars, stock))
        finally:
            market.close()
    return found


def _decision(settings: Settings, compare: bool, accept: bool, keep: bool) -> Decision | None:
    """What is decided of stored bars that differ; None where stored bars are not compared. Raises ConfigError for both."""
    if accept and keep:
        raise ConfigError("give --accept-revisions or --keep-stored, not both")
    if accept or keep:
        return "accepted" if accept else "kept"
    return "noted" if compare or settings.bar_source is not None else None


@dataclass(frozen=True, slots=True, eq=False)
class Collected:
    """The span of a symbol's bars that was asked for, and what archives held of it; None without any."""

    bars: Bars
    stock: Bars | None


def _wanted(settings: Settings, symbols: str | None, params: Path | None) -> tuple[str, ...]:
    """The symbols to collect: those that are named, else the setting's with those that a fit sees beside it. Raises ConfigError
    for a name that is none."""
    if symbols is not None:
        named = tuple(dict.fromkeys(it.strip().upper() for it in symbols.split(",") if it.strip()))
        if not named or not all(NAME.fullmatch(it) for it in named):
            raise ConfigError(f"--symbols {symbols!r} must name trading pairs, such as BTCUSDT,ETHUSDT")
        return named
    read = params_from(params, None) if params is not None else _newest_params(settings)
    beside = (read.train_symbols if read else None) or ()
    return (settings.symbol, *(it for it in beside if it != settings.symbol))


def _newest_params(settings: Settings) -> Params | None:
    """The parameters of the store's newest model; None where there is none. A store that does not answer is said, and holds up
    no bars."""
    from trader import wiring
    from trader.app.retrain import newest_readable_params

    try:
        return newest_readable_params(wiring.make_journal(settings))
    except WrongStore:
        return None  # bars are collected beside whatever another bot keeps there
    except TraderError as error:
        terminal.say(
            f"only {settings.symbol} is collected, for the store does not say which symbols a fit sees: {error}"
        )
        return None


def _first_known(collector: Collector, main: Collector) -> int:
    """Where a symbol's collected bars begin, or those of the traded one. Raises ConfigError where none are."""
    for known in (collector.known, main.known):
        if len(known):
            return known.first
    raise ConfigError(
        f"no bars of {collector.symbol} are collected yet; say the first hour: trader collect --from 2021-01-01"
    )


def _archived(settings: Settings, symbol: str, sources: list[str], start: int, stop: int) -> Bars:
    """The bars of archives: what lies here first, then what the archive's address adds."""
    from trader.adapters.archive import Archive
    from trader.adapters.archive_files import downloaded_bars
    from trader.adapters.clocks import WallClock
    from trader.adapters.files import read_archived_bars
    from trader.core.bars import merge
    from trader.core.types import no_bars

    addresses = [source for source in sources if source.startswith(("http://", "https://"))]
    paths = [Path(source).expanduser() for source in sources if source not in addresses]
    read = partial(read_archived_bars, say=terminal.say)
    bars = no_bars(symbol)
    if paths:
        bars = downloaded_bars(paths, symbol, read)
    for address in addresses:
        archive = Archive(address, settings.bars / "archive", read, WallClock(), timeout_s=settings.timeout_s)
        bars = merge(bars, archive.bars(symbol, start, stop))
    return bars


def _tell(settings: Settings, found: list[Collected], as_json: bool) -> None:
    """An object for a machine, a list of them for several symbols; a paragraph a symbol for a person."""
    said = [_said(settings, it) for it in found]
    if as_json:
        terminal.emit(said if len(said) > 1 else said[0])
        return
    for it, one in zip(found, said, strict=True):
        _show(it, one)


def _said(settings: Settings, collected: Collected) -> dict[str, Any]:
    from trader.adapters.binance_outages import explain_gap
    from trader.core.bars import gaps
    from trader.core.jumps import jumps

    bars, stock = collected.bars, collected.stock
    found, leaps = gaps(bars), jumps(bars)
    return {
        "symbol": bars.symbol,
        "bars": len(bars),
        "first": iso(bars.first),
        "last": iso(bars.last),
        "from_archive": 0 if stock is None else int((~stock.span(bars.first, bars.last + 1).flagged).sum()),
        "gaps": [{"close_time": iso(g.close_time), "hours": g.hours, "why": explain_gap(g)} for g in found],
        "jumps": [{"close_time": iso(it.close_time), "factor": it.factor, "where": it.where} for it in leaps],
        "file": str(settings.bars / f"{bars.symbol}-1h.parquet"),
    }


def _show(collected: Collected, said: dict[str, Any]) -> None:
    from trader.adapters.binance_outages import explain_gap
    from trader.core.bars import gaps
    from trader.core.jumps import jumps

    bars, stock = collected.bars, collected.stock
    terminal.show(
        f"{bars.symbol}: {plural(len(bars), 'hour')}, {said['first']} to {said['last']}, in {said['file']}"
    )
    if stock is not None:
        terminal.show(f"  {said['from_archive']:,} of them stand in the archive")
    for jump in jumps(bars):
        terminal.show(f"  {jump.in_words()}: no result counts it")
    for gap in gaps(bars):
        terminal.show(f"  {iso(gap.close_time)}: {gap.hours} h without bars ({explain_gap(gap)})")
