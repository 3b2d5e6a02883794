"""`trader`: parse -> settings -> build adapters -> one verb -> exit code."""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import time
from contextlib import closing, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trader import markets, terminal
from trader.config import EMBEDDED_KEY, EMBEDDED_PORT, EMBEDDED_SECRET, load_settings
from trader.core.errors import ConfigError, Halt
from trader.core.types import DAY_MS, HOUR_MS, floor_hour, iso, parse_hour

if TYPE_CHECKING:
    from trader.app.tick import Bot
    from trader.config import Settings
    from trader.core.model import ModelCard
    from trader.core.params import Params

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="An hourly trading bot. Exit codes: 0 done, 1 bug, 2 mend a setting or file, 3 try again later, 4 halted.",
)

CORES = os.cpu_count() or 1

AsJson = Annotated[bool, typer.Option("--json", help="one line of JSON instead of words")]
ParamsFile = Annotated[Path | None, typer.Option("--params", help="P.json of the strategy")]
StoreDir = Annotated[Path | None, typer.Option("--store", help="folder of journal, models and events")]
BarsDir = Annotated[Path | None, typer.Option("--data", help="folder of collected bars")]
Symbol = Annotated[str | None, typer.Option(help="what is traded")]


@app.callback()
def _root() -> None:
    """An hourly trading bot."""


@app.command()
def exchange(
    at: Annotated[
        str | None, typer.Option(help="the virtual clock's first time, UTC; default: the first bars' end")
    ] = None,
    bars: Annotated[Path | None, typer.Option(help="hourly bars of the market: Parquet, CSV or zip")] = None,
    synthetic: Annotated[
        int | None, typer.Option(help="instead of bars: the seed of a synthetic market")
    ] = None,
    symbol: Symbol = None,
    filters: Annotated[
        Path | None, typer.Option(help="an exchangeInfo row; default: from the price at --at")
    ] = None,
    balance: Annotated[list[str] | None, typer.Option(help="ASSET=AMOUNT, repeatable")] = None,
    fee_rate: Annotated[str, typer.Option(help="share of the received amount")] = "0.001",
    half_spread_bps: Annotated[str, typer.Option(help="half the spread, in 1/10,000 of the price")] = "1",
    slippage_bps: Annotated[str, typer.Option(help="slippage of market orders, in 1/10,000")] = "1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 picks a free one")] = EMBEDDED_PORT,
    speed: Annotated[
        str, typer.Option(help="virtual seconds a second; 0 stands still until POST /sim/clock")
    ] = "0",
    state: Annotated[Path | None, typer.Option(help="file that orders and balances survive in")] = None,
    faults: Annotated[Path | None, typer.Option(help="faults to inject, a JSON list")] = None,
    as_json: AsJson = False,
) -> None:
    """Serve the embedded exchange on loopback until SIGTERM. It speaks Binance's spot protocol and needs no account.

    Example: trader exchange --bars BTCUSDT-1h.parquet --at 2022-01-01 --port 8900
    """
    from trader.core.costs import CostModel
    from trader.exchange.server import EmbeddedExchange, ExchangeConfig

    market = markets.market_of(bars, synthetic, symbol)
    at_ms = parse_hour(at) if at else market.last - 30 * DAY_MS
    if not market.first <= at_ms < market.last:
        raise ConfigError(f"--at {iso(at_ms)} is outside the bars, {iso(market.first)} to {iso(market.last)}")
    row, accepted = markets.rules_for(filters, market, at_ms)
    base, quote = (row["baseAsset"], row["quoteAsset"]) if row else markets.assets_of(market.symbol)
    served = EmbeddedExchange(
        ExchangeConfig(
            bars=market,
            base=base,
            quote=quote,
            filters=accepted,
            costs=CostModel(
                markets.decimal_option("--fee-rate", fee_rate),
                markets.decimal_option("--half-spread-bps", half_spread_bps),
                markets.decimal_option("--slippage-bps", slippage_bps),
            ),
            at_ms=at_ms,
            balances=markets.balances_option(balance or [f"{quote}=10000"]),
            api_key=EMBEDDED_KEY,
            api_secret=EMBEDDED_SECRET,
            port=port,
            speed=float(markets.decimal_option("--speed", speed)),
            state_path=state,
            faults=json.loads(terminal.read_text(faults, "faults")) if faults else (),
            exchange_info_row=row,
        )
    )
    served.start()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: served.stop())
    ready = {"url": served.url, "api_key": EMBEDDED_KEY, "api_secret": EMBEDDED_SECRET}
    if as_json:
        terminal.emit(ready)
    else:
        said = "synthetic market" if bars is None else str(bars)
        print(
            f"{market.symbol} ({said}) at {iso(at_ms)}: " + ", ".join(f"{k} {v}" for k, v in ready.items()),
            flush=True,
        )
    served.serve_forever()


@app.command()
def collect(
    start: Annotated[str, typer.Option("--from", help="first hour, UTC")],
    stop: Annotated[str | None, typer.Option("--to", help="the hour after the last; default: now")] = None,
    symbol: Symbol = None,
    data: BarsDir = None,
    as_json: AsJson = False,
) -> None:
    """Bring the file of collected bars to cover a span. What is there is not asked for again.

    Example: trader collect --from 2021-01-01
    """
    from trader import wiring
    from trader.adapters.clocks import WallClock
    from trader.app.collect import collect
    from trader.core.bars import explain_gap, gaps

    settings = load_settings(symbol=symbol, bars=data)
    with terminal.progress("bars", quiet=as_json) as update:
        first = parse_hour(start)
        market = wiring.make_market(settings, WallClock(), update)
        last = parse_hour(stop) if stop else floor_hour(market.time_ms()) + HOUR_MS
        bars = collect(wiring.make_collector(settings, market), first, last)
        market.close()
    found = gaps(bars)
    said = {
        "symbol": bars.symbol,
        "bars": len(bars),
        "first": iso(bars.first),
        "last": iso(bars.last),
        "gaps": [{"close_time": iso(g.close_time), "hours": g.hours, "why": explain_gap(g)} for g in found],
        "file": str(settings.bars / f"{bars.symbol}-1h.parquet"),
    }
    if as_json:
        terminal.emit(said)
        return
    print(f"{bars.symbol}: {len(bars):,} hours, {said['first']} to {said['last']}, in {said['file']}")
    for gap in found:
        print(f"  {iso(gap.close_time)}: {gap.hours} h without bars ({explain_gap(gap)})")


@app.command()
def retrain(
    params: ParamsFile = None,
    trials: Annotated[
        int, typer.Option(min=0, help="instead of --params: search, this many configurations")
    ] = 0,
    serve_from: Annotated[
        str | None, typer.Option(help="the model's first hour; default: the next by the calendar")
    ] = None,
    if_due: Annotated[bool, typer.Option("--if-due", help="only if the calendar says so")] = False,
    seed: Annotated[int, typer.Option(min=0, help="of the search")] = 0,
    workers: Annotated[int, typer.Option(min=1, help="processes of the search")] = CORES,
    symbol: Symbol = None,
    store: StoreDir = None,
    data: BarsDir = None,
    as_json: AsJson = False,
) -> None:
    """Train a model on what is known, publish it and name it champion from its hour on. The first one begins the bot.

    Example: trader retrain --params P.json
    """
    from trader import wiring

    settings = load_settings(symbol=symbol, store=store, bars=data)
    with wiring.open_bot(settings) as bot:
        card = _retrain(bot, settings, params, trials, serve_from, if_due, seed, workers)
        bot.collector.save()
    if card is None:
        _answer({"retrained": False}, f"{bot.symbol}: no retrain is due", as_json)
        return
    said = {
        "retrained": True,
        "model_id": card.model_id,
        "valid_from": iso(card.valid_from),
        "rows": card.rows,
    }
    _answer(
        said,
        f"{bot.symbol}: model {card.model_id} on {card.rows:,} hours serves from {iso(card.valid_from)}",
        as_json,
    )


@app.command()
def tick(
    dry: Annotated[
        bool, typer.Option("--dry", help="decide, ask the venue with /order/test, write under dry/ only")
    ] = False,
    symbol: Symbol = None,
    store: StoreDir = None,
    data: BarsDir = None,
    as_json: AsJson = False,
) -> None:
    """Close the current hour, exactly once: safe to run twice, at once, and after any crash. Exit 4 while halted.

    Example: TRADER_VENUE=testnet trader tick
    """
    from trader import wiring
    from trader.app.dry import dry_tick
    from trader.app.tick import tick as do_tick

    with wiring.open_bot(load_settings(symbol=symbol, store=store, bars=data)) as bot:
        if dry:
            seen = dry_tick(bot)
            _answer(seen.content, seen.message, as_json)
            return
        ticked = do_tick(bot)
    said = {
        "outcome": ticked.outcome,
        "hour": iso(ticked.hour),
        "lines": ticked.lines,
        "halted": ticked.halted,
    }
    _answer(said, ticked.message, as_json)
    if ticked.halted:
        terminal.say("trading is halted; see: trader status")
        raise SystemExit(Halt.exit_code)


@app.command()
def run(
    cron_job: Annotated[Path, typer.Option(help="the schedule, crontab syntax, UTC")] = Path("cron-job"),
    symbol: Symbol = None,
    store: StoreDir = None,
    data: BarsDir = None,
) -> None:
    """Tick once now, then by the schedule until SIGTERM. Ticks run in this process, warm; the rest beside it.

    Example: trader run --cron-job cron-job
    """
    from trader import service

    service.run(cron_job, load_settings(symbol=symbol, store=store, bars=data))


@app.command()
def halt(
    reason: Annotated[str, typer.Option(help="why, for whoever reads it later")],
    freeze: Annotated[
        bool, typer.Option("--freeze", help="keep what is held; default: the next tick sells it")
    ] = False,
    symbol: Symbol = None,
    store: StoreDir = None,
) -> None:
    """Stop trading until a person resumes it.

    Example: trader halt --reason "exchange announced maintenance"
    """
    from trader import wiring
    from trader.adapters.clocks import WallClock
    from trader.app.halts import announce

    journal = wiring.make_journal(load_settings(symbol=symbol, store=store))
    announce(journal, WallClock().now_ms(), "person", freeze=freeze, by="person", words=reason)
    print(f"{journal.symbol}: halted; the next tick {'keeps' if freeze else 'sells'} what is held")


@app.command()
def resume(
    reason: Annotated[str, typer.Option(help="what was found and mended")],
    symbol: Symbol = None,
    store: StoreDir = None,
) -> None:
    """Lift a halt: the next hour begins a new risk epoch at its equity.

    Example: trader resume --reason "model checked, limit meant for another allocation"
    """
    from trader import wiring
    from trader.adapters.clocks import WallClock
    from trader.app.halts import resume

    journal = wiring.make_journal(load_settings(symbol=symbol, store=store))
    resume(journal, WallClock().now_ms(), reason)
    print(f"{journal.symbol}: resumed; limits count anew from the next hour's equity")


@app.command()
def replay(
    bars: Annotated[Path, typer.Option(help="hourly bars of the market")],
    start: Annotated[str, typer.Option("--from", help="first hour, UTC")],
    stop: Annotated[str, typer.Option("--to", help="the hour after the last")],
    params: ParamsFile = None,
    symbol: Symbol = None,
    filters: Annotated[
        Path | None, typer.Option(help="an exchangeInfo row; default: from the price at --from")
    ] = None,
    hours_out: Annotated[
        Path | None, typer.Option("--hours-out", "--out", help="write every hour here, as JSON Lines")
    ] = None,
    store: Annotated[
        Path | None, typer.Option("--store", help="keep the journal here; default: a temporary folder")
    ] = None,
    venue_url: Annotated[
        str | None, typer.Option(help="an embedded exchange that runs elsewhere, on loopback")
    ] = None,
    api_key: Annotated[str, typer.Option(help="its key")] = EMBEDDED_KEY,
    api_secret: Annotated[str, typer.Option(help="its secret")] = EMBEDDED_SECRET,
    as_json: AsJson = False,
) -> None:
    """Run the live bot over stored hours, through HTTP and the real client, on an embedded exchange of its own.

    Example: trader replay --bars BTCUSDT-1h.parquet --from 2022-01-01 --to 2022-03-01 --hours-out hours.jsonl
    """
    from trader import rehearsal, wiring
    from trader.core.hours import Rules

    market = markets.market_of(bars, None, symbol)
    first, last = parse_hour(start), parse_hour(stop)
    chosen = _params(params, None)
    rehearsal.require_replayable(market, first, last, chosen, bars)
    row, accepted = markets.rules_for(filters, market, first)
    with tempfile.TemporaryDirectory(prefix="trader-replay-") as folder:
        markets.write_info_row(Path(folder) / "filters.json", row, accepted, market.symbol)
        served = [
            "--bars",
            str(bars),
            "--symbol",
            market.symbol,
            "--filters",
            str(Path(folder) / "filters.json"),
        ]
        elsewhere = {"url": venue_url or "", "api_key": api_key, "api_secret": api_secret}
        with (
            nullcontext(elsewhere) if venue_url else wiring.embedded_exchange(served, chosen, first) as venue
        ):
            settings = rehearsal.embedded_settings(venue, market.symbol, store or Path(folder) / "store")
            summary, lines = rehearsal.replay_hours(
                settings, market, Rules(chosen, accepted), first, last, as_json
            )
    if hours_out:
        terminal.write_lines(hours_out, iter(lines))
    title = f"{market.symbol}, {iso(first)} to {iso(last)}, replayed through HTTP"
    _show_summary(summary, title, as_json)


@app.command()
def journal(
    start: Annotated[str | None, typer.Option("--from", help="first hour, UTC")] = None,
    stop: Annotated[str | None, typer.Option("--to", help="the hour after the last")] = None,
    symbol: Symbol = None,
    store: StoreDir = None,
    jsonl: Annotated[bool, typer.Option("--jsonl", help="the very lines that the backtest writes")] = False,
    csv: Annotated[bool, typer.Option("--csv", help="for a spreadsheet")] = False,
    parquet: Annotated[
        Path | None, typer.Option(help="write a table here: times UTC, amounts as decimals")
    ] = None,
) -> None:
    """The closed hours, oldest first.

    Example: trader journal --jsonl > hours.jsonl
    """
    from trader import wiring
    from trader.core.hours import LINE_KEYS, line_text

    settings = load_settings(symbol=symbol, store=store)
    since, until = parse_hour(start) if start else None, parse_hour(stop) if stop else None
    lines = [record["line"] for record in wiring.make_journal(settings).records(since, until)]
    if jsonl:
        for line in lines:
            print(line_text(line))
        return
    if csv or parquet:
        from trader.adapters.tables import write_csv, write_parquet

        if csv:
            write_csv(sys.stdout, lines)
        if parquet:
            write_parquet(parquet, lines)
        return
    if not lines:
        terminal.say(f"{settings.symbol}: no hour is closed yet in {settings.store}")
        return
    rows = [tuple("-" if line[key] is None else str(line[key]) for key in LINE_KEYS) for line in lines]
    print(terminal.table("", rows, LINE_KEYS))


@app.command()
def status(symbol: Symbol = None, store: StoreDir = None, as_json: AsJson = False) -> None:
    """What the bot did last, what it holds, which model serves and what comes next. Reads the store only.

    Example: trader status
    """
    from trader import wiring
    from trader.app.status import status as look

    settings = load_settings(symbol=symbol, store=store)
    report = look(wiring.make_journal(settings))
    if as_json:
        terminal.emit(report)
        return
    print(terminal.table(f"{settings.symbol} in {settings.store}", [(k, str(v)) for k, v in report.items()]))


@app.command()
def demo(
    bars: Annotated[
        Path | None, typer.Option(help="real bars; default: a synthetic market, said on every screen")
    ] = None,
    folder: Annotated[Path, typer.Option(help="where journal and bars are left to look at")] = Path(
        "demo-run"
    ),
    trials: Annotated[int, typer.Option(min=1, help="configurations that the study looks at")] = 8,
    seed: Annotated[int, typer.Option(min=0, help="of market and search")] = 7,
    as_json: AsJson = False,
) -> None:
    """The main job, offline: two years of bars collected, a study, a champion, two weeks traded through HTTP.

    Example: trader demo --bars BTCUSDT-1h.parquet
    """
    from trader import demo as script
    from trader import rehearsal, wiring
    from trader.adapters.clocks import SimClock

    began = time.perf_counter()
    market = markets.market_of(bars, None if bars else seed, None)
    name = f"synthetic market, seed {seed}" if bars is None else str(bars)
    span, base = script.span_of(market), _params(None, None)
    script.clean(folder)
    served = ["--symbol", market.symbol, *(["--bars", str(bars)] if bars else ["--synthetic", str(seed)])]
    with wiring.embedded_exchange(served, base, span.traded_from) as venue:
        settings = rehearsal.embedded_settings(venue, market.symbol, folder / "store", folder / "bars")

        def search(bot: Bot, params: Params, hour: int) -> Params:
            return _search(bot, params, hour, trials, seed, CORES)

        clock_at = closing(SimClock(settings.exchange_url))
        with clock_at as clock, wiring.open_bot(settings, clock, durable=False) as bot:
            chosen = script.act(bot, clock, base, span, search, name, as_json)
            rules = script.rules_of(bot, chosen)
            seconds = time.perf_counter() - began
            summary, _ = rehearsal.summary_of(
                bot, market, rules, span.traded_from, span.traded_until, seconds
            )
    summary["market"] = name
    summary["true_hit_rate"] = (
        None if bars else rehearsal.true_hit_rate(seed, span.traded_from, span.traded_until)
    )
    summary["store"] = str(settings.store)
    (folder / "summary.json").write_text(json.dumps(summary, indent=1))
    if as_json:
        terminal.emit(summary)
        return
    title = f"{market.symbol}, {iso(span.traded_from)} to {iso(span.traded_until)} ({name})"
    rows = terminal.summary_rows(summary)
    if summary["true_hit_rate"] is not None:
        rows.append(
            ("the market's true edge: an oracle's hit rate", f"{summary['true_hit_rate'] * 100:.2f} %")
        )
    print(terminal.table(title, rows))
    terminal.say(f"{summary['seconds']:.0f} s. Look at it: trader status --store {settings.store}")
    terminal.say(f"every hour: trader journal --store {settings.store}")


def _params(path: Path | None, serving: Params | None) -> Params:
    """The file's parameters, else the serving model's, else the documented defaults."""
    from trader.core.params import DEFAULT_PARAMS, params_of, parse_params

    if path is not None:
        return parse_params(terminal.read_text(path, "parameters"), str(path))
    return serving or params_of(DEFAULT_PARAMS, "the defaults")


def _retrain(
    bot: Bot,
    settings: Settings,
    params: Path | None,
    trials: int,
    serve_from: str | None,
    if_due: bool,
    seed: int,
    workers: int,
) -> ModelCard | None:
    """Train by the calendar or a breach (`if_due`), else now; None if nothing is due."""
    from trader.app.retrain import next_serve_hour, retrain, serving_params
    from trader.app.retrain_rules import retrain_if_due

    now_ms = bot.exchange.time_ms()
    if if_due:

        def search(_: Bot, base: Params, hour: int) -> Params:
            return _search(bot, base, hour, trials or settings.retune_trials, seed, workers)

        return retrain_if_due(bot, now_ms, settings.breach_rule, search if settings.retune_trials else None)
    chosen = _params(params, serving_params(bot.journal))
    hour = parse_hour(serve_from) if serve_from else next_serve_hour(now_ms, chosen.gap_hours)
    if trials:
        chosen = _search(bot, chosen, hour, trials, seed, workers)
    return retrain(bot.journal, bot.collector, bot.forecaster, chosen, hour, bot.version)


def _search(bot: Bot, base: Params, serve_from: int, trials: int, seed: int, workers: int) -> Params:
    """The best parameters of a study over the hours that a model serving from `serve_from` may know."""
    from backtest.tune import LONGEST_LOOK_BACK_DAYS, STUDY_DAYS, Task, tune
    from trader.core.features import anchor_of

    known_at = floor_hour(serve_from - base.gap_hours * HOUR_MS)
    start = known_at - STUDY_DAYS * DAY_MS
    reach = anchor_of(start - LONGEST_LOOK_BACK_DAYS * DAY_MS - base.gap_hours * HOUR_MS)
    bars = bot.collector.between(reach, known_at + HOUR_MS).until(known_at)
    filters = bot.exchange.filters(bot.symbol)
    task = Task(bot.forecaster, bars, base, filters, start, known_at, f"the history of {bot.symbol}")
    with terminal.progress("trials") as update:
        found = tune(
            task,
            trials=trials,
            seed=seed,
            workers=workers,
            progress=lambda done, of, best: update(done, of, f"best net Sharpe {best:.2f}"),
        )
    return found.best.params


def _answer(value: dict[str, Any], words: str, as_json: bool) -> None:
    if as_json:
        terminal.emit(value)
    else:
        print(words)


def _show_summary(summary: dict[str, Any], title: str, as_json: bool) -> None:
    if as_json:
        terminal.emit(summary)
        return
    print(terminal.table(title, terminal.summary_rows(summary)))
    print(f"{summary['ticks_per_second']:.0f} hours a second, {summary['seconds']:.1f} s")


def main() -> None:
    """The console command."""
    terminal.run(app)


if __name__ == "__main__":
    main()
