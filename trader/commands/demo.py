"""The main job, offline, in one command."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trader import terminal
from trader.adapters.bar_folder import said_of
from trader.adapters.files import write_bars
from trader.adapters.sources import path_of
from trader.commands.common import AsJson, params_from, started_as
from trader.commands.search import CORES, search_of
from trader.core.types import HOUR_MS, Json, iso
from trader.simulation import markets

if TYPE_CHECKING:
    from trader.app.bot import Bot
    from trader.core.params import Params
    from trader.core.types import Bars
    from trader.simulation.demo import Span


def demo(
    bars: Annotated[
        str | None, typer.Option(help="real bars; default: a synthetic market, said on every screen")
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option(
            help="folder that keeps the journal, the bars and the page; default: demo-run, with --book demo-book"
        ),
    ] = None,
    book: Annotated[
        bool,
        typer.Option(
            "--book",
            help="ten symbols on one account instead, three days and no study; --bars is a folder of <SYMBOL>-1h.parquet then",
        ),
    ] = False,
    trials: Annotated[int, typer.Option(min=1, help="configurations that the study looks at")] = 8,
    seed: Annotated[int, typer.Option(min=0, help="random seed of the market and of the search")] = 7,
    as_json: AsJson = False,
) -> None:
    """The whole job, offline: two years of bars, a study, a champion, two weeks traded through HTTP, one retrain.

    Example: trader demo --bars BTCUSDT-1h.parquet
    """
    if book:
        from trader.commands.demo_book import demo_book

        demo_book(bars, folder or Path("demo-book"), seed, as_json)
        return
    from trader.simulation import demo as script

    began, folder = time.perf_counter(), folder or Path("demo-run")
    market = markets.market_of(bars, None if bars else seed, None)
    span = script.span_of(market)
    script.clean(folder)
    summary = _acted(market, bars, span, folder, trials, seed, began, as_json)
    (folder / "summary.json").write_text(json.dumps(summary, indent=1))
    if as_json:
        terminal.emit(summary)
        return
    _show(summary, f"{market.symbol}, {iso(span.traded_from)} to {iso(span.traded_until)}")


def _acted(
    market: Bars,
    bars: str | None,
    span: Span,
    folder: Path,
    trials: int,
    seed: int,
    began: float,
    quiet: bool,
) -> Json:
    """The whole job at an embedded exchange of its own: the summary, its `seconds` counted from `began`."""
    from trader import wiring
    from trader.adapters.clocks import SimClock
    from trader.app.retrain_rules import unanswered
    from trader.simulation import demo as script
    from trader.simulation import rehearsal

    def search(bot: Bot, params: Params, hour: int) -> Params:
        event = unanswered(bot)  # None while there is no champion to begin from
        draw = seed + (event.number if event else 0)
        return search_of(bot, params, hour, trials, draw, CORES, warm=(params,) if event else ())

    name = markets.synthetic_name(seed) if bars is None else said_of(bars)
    base, first, last = params_from(None, None), span.traded_from, span.traded_until
    served = ["--symbol", market.symbol, *_served(bars, seed, market, folder)]
    with wiring.embedded_exchange(served, base, first) as venue:
        settings = rehearsal.embedded_settings(venue, market.symbol, folder / "store", folder / "bars")
        clock_at = closing(SimClock(settings.exchange_url))
        with clock_at as clock, wiring.open_bot(settings, clock, durable=False) as bot:
            chosen = script.act(bot, clock, base, span, search, name, quiet)
            rules, breaches = script.rules_of(bot, chosen), script.breaches(bot)
            seconds = time.perf_counter() - began
            summary, _ = rehearsal.summary_of(
                bot, market, rules, first, last, seconds, known_until=last - HOUR_MS
            )
            page = script.show(bot, settings, folder / "page")
    edge = None if bars else rehearsal.true_hit_rate(seed, first, last - HOUR_MS)
    more = {"true_hit_rate": edge, "breaches": breaches, "store": settings.store, "page": page}
    return {**summary, "market": name, **more}


def _show(summary: Json, hours: str) -> None:
    """The figures, the page's address, and what to type next."""
    rows = terminal.summary_rows(summary)
    rows += [("retrained on a breach", event["at"]) for event in summary["breaches"]]
    if (edge := summary["true_hit_rate"]) is not None:
        rows.append(("the market's true edge: an oracle's hit rate", f"{edge * 100:.2f} %"))
    terminal.show(terminal.table(f"{hours} ({summary['market']})", rows))
    terminal.say(f"{summary['seconds']:.0f} s")
    if summary["page"]:
        terminal.say(f"the page: {summary['page']}")
    for line in ["next:", *next_commands(summary["store"], summary["breaches"])]:
        terminal.say(line)


def _served(bars: str | None, seed: int, market: Bars, folder: Path) -> list[str]:
    """What the exchange of the demo serves. A database or a bucket is read once, and copied."""
    if bars is None:
        return ["--synthetic", str(seed)]
    if path_of(bars) is not None:
        return ["--bars", bars]
    (folder / "market").mkdir(parents=True, exist_ok=True)
    copy = folder / "market" / f"{market.symbol}-1h.parquet"
    write_bars(copy, market)
    return ["--bars", str(copy)]


def next_commands(store: str, breaches: Sequence[Json]) -> list[str]:
    """What to type next in this folder: a line each, what it tells and the command."""
    trader, where = started_as(), f"--store {shlex.quote(store)}"
    hour = breaches[0]["at"] if breaches else ""
    rows = (
        ("how the bot stands", "status", ""),
        ("every hour", "journal", ""),
        ("why an hour went as it did", "explain", hour),
    )
    return [f"  {what:<28}{' '.join(filter(None, (trader, verb, at, where)))}" for what, verb, at in rows]
