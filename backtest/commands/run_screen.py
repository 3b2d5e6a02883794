"""What `backtest run` of one symbol shows a person."""

from __future__ import annotations

from typing import Any

from trader import terminal


def show_run(summary: dict[str, Any], title: str, note: str) -> None:
    """The figures of both samples, why nothing was traded, and what must be said below."""
    seen = {name: _short(value) for name, value in terminal.summary_rows(summary["in_sample"])}
    rows = [(name, value, seen[name]) for name, value in terminal.summary_rows(summary)]
    terminal.show(terminal.table(title, rows, ("", "out of sample", "in sample")))
    if summary["why_no_order"]:
        terminal.show(terminal.paragraph(summary["why_no_order"]))
    terminal.show(terminal.paragraph(note))
    filters = summary["filters"]
    terminal.show(
        f"tick {filters['tick_size']}, step {filters['step_size']}, "
        f"minimum order {filters['min_notional']} USDT; {summary['seconds']:.1f} s"
    )


def _short(value: str) -> str:
    """A figure of a model that knows the answers may have forty digits; the first three say it."""
    number, _, unit = value.partition(" ")
    if len(number) <= 16 or number[:1] not in "+-0123456789" or number[4:5] == "-":
        return value
    return f"{float(number.replace(',', '')):.3g} {unit}".strip()
