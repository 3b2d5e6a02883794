"""The page of `backtest report --book`: the whole by day, what each symbol gave to it, shares and correlations. No script."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib import resources

import numpy as np

from backtest.engine.book_outcome import BookOutcome
from backtest.evidence.baselines import break_even_words
from backtest.evidence.judgement import Evidence
from backtest.report.book_charts import CHARTS
from backtest.report.data import Part
from backtest.report.drawing import NARROW, WIDE
from backtest.report.page import number, percent
from backtest.report.study import StudyEvidence
from backtest.report.study_charts import STUDY_CHARTS
from trader.core.errors import ConfigError
from trader.core.text import how_to_install, plural
from trader.core.types import DAY_MS, Ints, iso

SCHEMA = "book-report/1"
# Symbols that one sentence names.
MOST_NAMED = 12


def report_of(
    outcome: BookOutcome,
    evidence: Evidence,
    start: int,
    stop: int,
    untraded: Sequence[str],
    chosen_by: StudyEvidence | None,
) -> Part:
    """What the page shows and its figures hold: the summary, the evidence, and curves by day (the last hour of each). untraded:
    symbols that had bars and are not in the book."""
    lines, sleeves = outcome.run.lines, outcome.run.sleeves
    rows = _last_hours(np.array([line.close_time for line in lines], dtype=np.int64)).tolist()
    equity = np.array([float(lines[i].equity) for i in rows])
    curve = {
        "day": [iso(lines[i].close_time)[:10] for i in rows],
        "equity": equity.tolist(),
        "drawdown": [float(lines[i].drawdown) for i in rows],
        "exposure": [float(lines[i].exposure) for i in rows],
    }
    shares = {it.symbol: (it.run.equity[rows] / equity).tolist() for it in sleeves}
    index = {it.symbol: it.index[rows].tolist() for it in sleeves}
    return {
        "schema": SCHEMA,
        "from": iso(start),
        "to": iso(stop),
        "summary": outcome.summary,
        "evidence": evidence.as_json(),
        "months": _months(outcome),
        "survivorship": _survivorship(outcome, untraded),
        "untraded": list(untraded),
        "study": chosen_by.part if chosen_by else None,
        "params": {it.bars.symbol: it.rules.params.as_json() for it in outcome.sleeves},
        "curve": curve,
        "shares": shares,
        "index": index,
    }


def _months(outcome: BookOutcome) -> list[Part]:
    """Net return of the whole in each calendar month, UTC, compounded."""
    lines = outcome.run.lines
    before, rows = float(outcome.run.hours[0].equity_usdt), []
    for i, line in enumerate(lines):
        month = iso(line.close_time)[:7]
        if i + 1 == len(lines) or iso(lines[i + 1].close_time)[:7] != month:
            now = float(line.equity)
            rows.append({"month": month, "net_return": round(now / before - 1, 6)})
            before = now
    return rows


def _survivorship(outcome: BookOutcome, untraded: Sequence[str]) -> list[str]:
    """Sentences that say which symbols the figures are about, and which they are not."""
    symbols, ended = len(outcome.sleeves), outcome.summary["bars_end_early"]
    sentences = [
        f"Bars of {name} end at {hour[:16]} UTC: it is traded until then, what it holds is marked by its last close, and it "
        "counts in every figure."
        for name, hour in ended.items()
    ]
    if not ended:
        sentences.append(
            f"All {symbols} symbols have bars to the last hour. A list that was made afterwards leaves out what was delisted "
            "meanwhile, and looks better than it was: name delisted symbols too, whose bars end within the hours."
        )
    if untraded:
        left = len(untraded) - MOST_NAMED
        most = ", ".join(untraded[:MOST_NAMED]) + (f" and {left} more" if left > 0 else "")
        given = plural(len(untraded), "further symbol")
        sentences.append(f"The folder of bars also holds {given} that the book does not trade: {most}.")
    return sentences


def _last_hours(hours: Ints) -> Ints:
    """The rows of the last hour of each day, and the last of all."""
    day = hours // DAY_MS
    rows: Ints = np.flatnonzero(np.append(day[1:] != day[:-1], True))
    return rows


def page_of(report: Part) -> str:
    """The page. Raises ConfigError without the `observability` extra."""
    try:
        import jinja2
        import matplotlib  # noqa: F401 - found missing before any work
    except ImportError as error:
        raise ConfigError(f"a report needs {error.name}: {how_to_install('observability')}") from None
    drawn = CHARTS | (STUDY_CHARTS if report["study"] else {})
    charts = {name: "".join(draw(report, paper) for paper in (WIDE, NARROW)) for name, draw in drawn.items()}
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"percent": percent, "number": number, "plural": plural}
    room = resources.files("backtest.report")
    template = environment.from_string(room.joinpath("book.html").read_text())
    return template.render(
        r=report,
        s=report["summary"],
        e=report["evidence"],
        break_even=break_even_words(report["evidence"]["break_even_bps"], report["summary"]["orders"]),
        params=json.dumps(report["params"], indent=1),
        symbols=list(report["summary"]["symbols"]),
        charts=charts,
        style=room.joinpath("forecast.css").read_text(),
    )
