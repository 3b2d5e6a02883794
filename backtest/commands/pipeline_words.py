"""What a person is shown of a pipeline."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from math import ceil
from typing import TYPE_CHECKING, Any

from trader import terminal
from trader.core.text import plural

if TYPE_CHECKING:
    from backtest.pipeline.judge import StageStatus
    from backtest.pipeline.opened import Pipeline
    from backtest.pipeline.run import Outcome, Progress

_MOST_LISTED, _MOST_REASONS = 30, 3


def progress_words(at: Progress) -> str:
    """The stage that ended, its seconds, and the time that is left."""
    took = "" if at.seconds is None else f", {at.seconds:.1f} s"
    if at.left_s is None or not at.done < at.of:
        return f"{at.stage}{took}"
    left = plural(ceil(at.left_s), "second") if at.left_s < 90 else plural(ceil(at.left_s / 60), "minute")
    return f"{at.stage}{took}; about {left} left"


def show_status(opened: Pipeline, verdicts: Sequence[StageStatus], *, why: bool) -> None:
    """What would run and why, and the graph."""
    from backtest.pipeline.picture import mermaid, nodes_of

    old = [it for it in verdicts if not it.up_to_date]
    shown = old if why else old[:_MOST_LISTED]
    for it in shown:
        terminal.show(terminal.paragraph(f"{it.job.name}: {_reasons(it, why)}", indent=2))
    if len(shown) < len(old):
        terminal.show(f"and {len(old) - len(shown):,} more; see --why")
    if shown:
        terminal.show("")
    terminal.show(terminal.paragraph(_summary(verdicts, old)), "", mermaid(nodes_of(verdicts)))


def _reasons(verdict: StageStatus, why: bool) -> str:
    told = verdict.why if why else verdict.why[:_MOST_REASONS]
    more = len(verdict.why) - len(told)
    return "; ".join(told) + (f"; and {more} more" if more else "")


def _summary(verdicts: Sequence[StageStatus], old: Sequence[StageStatus]) -> str:
    fresh = len(verdicts) - len(old)
    said = f"{fresh:,} of {plural(len(verdicts), 'stage')} up to date."
    if not old:
        return f"{said} Nothing would run."
    kinds = Counter(it.job.kind for it in old)
    return f"{said} Would run: {', '.join(f'{kind} {count:,}' for kind, count in kinds.items())}."


def show_outcome(opened: Pipeline, outcome: Outcome, told: dict[str, Any]) -> None:
    """What ran, the table of results, and where everything is."""
    folder = opened.folder
    if table := folder.link_of("publish", "table.csv"):
        terminal.show(*_results(table.read_text(encoding="utf-8")))
    kinds = Counter(it.basis.kind for it in outcome.ran)
    ran = ", ".join(f"{kind} {count:,}" for kind, count in kinds.items()) or "nothing"
    terminal.show(
        "",
        terminal.paragraph(
            f"Ran: {ran}; {plural(len(outcome.kept), 'stage')} up to date. Outputs: {folder.path / 'current'}; "
            f"the graph: {folder.path / 'index.html'}; manifest {told['manifest']}; {told['seconds']:.1f} s"
        ),
    )


def _results(text: str) -> Iterator[str]:
    rows = list(csv.DictReader(text.splitlines()))
    shown = [
        (
            it["symbol"],
            it["family"],
            terminal.percent(float(it["net_return"])),
            terminal.percent(float(it["buy_and_hold"])),
            f"{float(it['sharpe']):.2f}",
            f"{float(it['max_drawdown']) * 100:.1f} %",
            it["orders"],
        )
        for it in rows[:_MOST_LISTED]
    ]
    head = ("symbol", "family", "net return", "buy and hold", "Sharpe", "drawdown", "orders")
    yield terminal.table("Out of sample, costs included, best first", shown, head)
    if len(rows) > len(shown):
        yield f"and {len(rows) - len(shown):,} more in publish/table.csv"
