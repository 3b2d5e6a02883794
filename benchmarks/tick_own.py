"""What a warm bot adds to an hour itself: from the closed bar to the order, and for the comparison with the account."""

from __future__ import annotations

import statistics
import time
from pathlib import Path

from benchmarks.figure import Figure
from benchmarks.tick_stage import BUSY, START, Size, Watch, stage
from trader.core.types import HOUR_MS


def own_share(folder: Path, size: Size) -> list[Figure]:
    """Hours of a warm bot whose journal is flushed to the disk as in production."""
    place = folder / "own"
    place.mkdir()
    watch, all_hours, with_order = Watch(), [], []
    asked, compared = 0, []
    with stage(place, BUSY, START, durable=True) as made:
        watch.over(made.bot)
        for i in range(size.own_hours):
            watch.requests.clear()
            made.tick_at(START + i * HOUR_MS)
            seconds, ordered = watch.own_seconds(time.perf_counter())
            all_hours.append(seconds * 1000)
            if ordered:
                with_order.append(seconds * 1000)
            else:
                asked = max(asked, watch.compared())
            compared.append(watch.comparison_seconds(made.bot, START + i * HOUR_MS) * 1000)
    note = (
        f"{size.own_hours:,} hours, {len(with_order):,} of them with an order; the rest count to their record"
    )
    figures = []
    for what, values in (("", all_hours), (", hours with an order", with_order)):
        shares = statistics.quantiles(values, n=100)
        title = f"bar known to order sent, own share, median{what}"
        figures.append(Figure(title, shares[49], "at most", 25, "ms", note))
        figures.append(Figure(f"its 99th percentile{what}", shares[98], "at most", 75, "ms"))
        note = ""
    title = "comparison with the account, an hour without an order"
    figures.append(Figure(f"{title}, requests", asked, "at most", 2, is_result=True))
    figures.append(Figure(f"{title}, own share, median", statistics.median(compared), "at most", 5, "ms"))
    return figures
