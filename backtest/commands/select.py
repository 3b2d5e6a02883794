"""`backtest select`: which family is best for each of many series."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from functools import partial
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast, get_args

import typer

from backtest.commands.computing import Computing, computed
from backtest.commands.counting import config_of_candidate, of_candidate
from backtest.commands.inputs import read_params
from backtest.commands.many_bars import Bars, Frequency, More, bars_files, freq_of
from backtest.commands.options import EVIDENCE, AsJson, EvidenceDir, ParamsFile
from backtest.evidence.ledger import EvidenceLedger, count
from backtest.evidence.selection import FEWEST_SERIES
from backtest.select.candidates import Freq, Score, candidates_of
from backtest.select.folder import SelectionFolder
from backtest.select.spec import SelectionSpec, common_stop, facts_of
from trader import terminal
from trader.core.errors import ConfigError
from trader.core.text import plural
from trader.core.types import parse_hour

if TYPE_CHECKING:
    from backtest.evidence.ledger import Entry
    from backtest.select.row_tasks import Row
    from backtest.select.selection import Selection
    from backtest.select.winners import Winners
    from trader.core.params import Params

Families = Annotated[
    str, typer.Option(help="comma-separated; prophet-additive and such are variants; naive is always there")
]
By = Annotated[
    str | None,
    typer.Option("--score", metavar="pinball|net_sharpe", help="default: net_sharpe at 1h, pinball at 1d"),
]
Out = Annotated[Path, typer.Option(help="folder of results; the same command goes on from there")]
Windows = Annotated[
    int | None,
    typer.Option(min=1, help="windows to evaluate: of step_days at 1h (default 2), of 24 days at 1d (1)"),
]
Until = Annotated[str | None, typer.Option("--to", help="end of the windows, UTC; default: the newest close")]
_DEFAULT_WINDOWS = {"1h": 2, "1d": 1}
_MOST_LISTED = 30


@computed
def select(
    bars: Bars,
    families: Families,
    out: Out,
    computing: Computing,
    more: More = None,
    freq: Frequency = "1h",
    score: By = None,
    windows: Windows = None,
    to: Until = None,
    params: ParamsFile = None,
    evidence: EvidenceDir = EVIDENCE,
    as_json: AsJson = False,
) -> None:
    """Choose the best family for each of many series, out of sample, and say what the choice is worth.

    Every candidate is kept and counted, failed ones with their reason. A winner is deflated by how many were tried and
    shrunk towards the other series.
    Example: backtest select --bars data --families naive,xgboost --freq 1h --out selected
    """
    from backtest.select.publish import publish, summary_of
    from backtest.select.winners import winners_of

    began = time.perf_counter()
    asked, by = freq_of(freq), _score(score, freq)
    base = read_params(params, {})
    folder = SelectionFolder(out)
    with folder.held():
        selection = _prepared(folder, [*bars, *(more or [])], families, base, asked, by, windows, to)
        selection.on_rows = partial(counted, selection, evidence)
        _run(selection, computing, quiet=as_json)
        found = winners_of(selection.rows, by, partial(_tried, selection, evidence))
        summary = summary_of(selection, found)
        summary["seconds"] = round(time.perf_counter() - began, 3)
        publish(selection, found, summary, _style())
    if as_json:
        terminal.emit(summary)
        return
    _show(summary, found, out)


def _prepared(
    folder: SelectionFolder,
    places: list[str],
    families: str,
    base: Params,
    freq: Freq,
    score: Score,
    windows: int | None,
    to: str | None,
) -> Selection:
    """What is asked for, every option checked before the first fit."""
    from backtest.select.selection import Selection
    from trader.forecasters.registry import forecaster_of

    candidates = candidates_of(families.split(","), base, freq, forecaster_of)
    files = bars_files(places)
    facts = facts_of(folder, files)
    stop = common_stop(facts, freq, parse_hour(to) if to else None)
    spec = SelectionSpec(freq, score, windows or _DEFAULT_WINDOWS[freq], base.step_days, stop)
    return Selection(folder, spec, candidates, files, facts)


def _run(selection: Selection, computing: Computing, *, quiet: bool) -> None:
    """An interrupted one ends by saying what is kept."""
    out = selection.folder.path
    try:
        with computing.opened(out) as executor, terminal.progress("candidates", quiet=quiet) as update:
            selection.progress = update
            selection.run(executor)
    except KeyboardInterrupt:
        ended = plural(len(selection.rows), "candidate has", "candidates have")
        terminal.say(f"interrupted: {ended} ended and are kept in {out}; the same command goes on from there")
        raise SystemExit(terminal.EXIT_INTERRUPTED) from None


def counted(selection: Selection, evidence: Path, rows: Sequence[Row]) -> None:
    """Into the evidence ledgers, one for the bars of each series."""
    spec = selection.spec
    configs = {it.name: config_of_candidate(it.params, spec.freq) for it in selection.candidates}
    start = spec.origins[0] if spec.freq == "1d" else spec.span[0]
    entries: dict[str, list[Entry]] = {}
    for row in rows:
        tried = of_candidate(row, configs[row["candidate"]], start, spec.stop)
        entries.setdefault(selection.facts[row["symbol"]].data, []).extend(tried)
    for data, found in entries.items():
        EvidenceLedger(evidence, data).append(found)


def _tried(selection: Selection, evidence: Path, symbol: str) -> int:
    """How many configurations were ever evaluated on a symbol's bars."""
    spec = selection.spec
    entries = EvidenceLedger(evidence, selection.facts[symbol].data).entries()
    return count(entries, spec.span[0], spec.stop).configurations


def _score(text: str | None, freq: str) -> Score:
    if text is None:
        return "net_sharpe" if freq == "1h" else "pinball"
    found = next((it for it in get_args(Score) if it == text), None)
    if found is None:
        raise ConfigError(f"--score {text}: choose pinball or net_sharpe")
    if freq == "1d" and found == "net_sharpe":
        raise ConfigError(
            "--score net_sharpe trades hours; with --freq 1d, which is research, choose pinball"
        )
    return cast("Score", found)


def _style() -> str:
    return resources.files("backtest.report").joinpath("forecast.css").read_text()


def _show(summary: dict[str, Any], found: Winners, out: Path) -> None:
    terminal.show(_of_candidates(summary), "", _of_series(summary, found), "")
    for said in _notes(summary, out):
        terminal.show(terminal.paragraph(said))


def _of_candidates(summary: dict[str, Any]) -> str:
    pinball = summary["score"] == "pinball"
    rows = [
        (
            it["candidate"],
            f"{it['best_of']:,}",
            _gain(it["median_gain"], pinball),
            f"{it['failed']:,}",
            "-" if it["seconds_each"] is None else f"{it['seconds_each']:.3g}",
        )
        for it in summary["by_candidate"]
    ]
    unit = "skill, %" if pinball else "Sharpe"
    head = ("candidate", "best of", f"median gain, {unit}", "failed", "core-s each")
    return terminal.table(
        f"{summary['series']:,} series at {summary['freq']}, to {summary['stop'][:10]}", rows, head
    )


def _of_series(summary: dict[str, Any], found: Winners) -> str:
    pinball = summary["score"] == "pinball"
    listed = sorted(found.winners, key=lambda it: (-(it.shrunk or 0.0), -it.gain))[:_MOST_LISTED]
    rows = [
        (
            it.symbol,
            it.candidate,
            _gain(it.score, pinball),
            _gain(it.gain, pinball),
            "-" if it.deflated is None else _gain(it.deflated, pinball) if pinball else f"{it.deflated:.3f}",
            _gain(it.shrunk, pinball),
            f"{it.tried}",
        )
        for it in listed
    ]
    head = (
        "best first",
        "candidate",
        "skill, %" if pinball else "Sharpe",
        "gain",
        "deflated",
        "shrunk",
        "tried",
    )
    return terminal.table("", rows, head)


def _gain(value: float | None, pinball: bool) -> str:
    return "-" if value is None else f"{round(value * 100, 1) + 0.0:+.1f}" if pinball else f"{value:+.2f}"


def _notes(summary: dict[str, Any], out: Path) -> Iterator[str]:
    if len(summary["best"]) > _MOST_LISTED:
        yield f"{len(summary['best']) - _MOST_LISTED:,} more series are in {out / 'selection.json'}."
    expected, pinball = summary["expected_gain_of_worthless"], summary["score"] == "pinball"
    yield "Out of sample. Gain is over the naive forecast." + (
        f" Deflated and shrunk gains need {FEWEST_SERIES} series." if expected is None else ""
    )
    if not pinball:
        yield "Deflated is the probability that the true Sharpe ratio is above that of the best of so many worthless candidates."
    if expected is not None:
        shown = -math.expm1(-expected) if pinball else expected
        what = "Deflated is the gain beyond" if pinball else "Shrunk is, beyond"
        then = "; shrunk is" if pinball else ","
        yield (
            f"{what} what the best of these candidates would show if none were better than the naive forecast "
            f"({_gain(shown, pinball)}){then} that gain drawn towards the mean of all series."
        )
    if summary["failed"]:
        first = summary["failures"][0]
        yield (
            f"{plural(summary['failed'], 'candidate')} failed, such as {first['candidate']} on {first['symbol']}: "
            f"{first['reason']}. All of them with their reasons: {out / 'candidates.jsonl'}"
        )
    for symbol, reason in list(summary["without_best"].items())[:3]:
        yield f"{symbol} has no best candidate: {reason}"
    best = f"; parameters for trader retrain --params: {out / 'best'}" if summary["freq"] == "1h" else ""
    yield (
        f"{summary['computed']:,} computed, {summary['kept']:,} kept from before; the page: {out / 'page.html'}{best}; "
        f"{summary['seconds']:.1f} s"
    )
