"""How a report's pictures are made: SVG text without a script, in the colours of the page, in a wide and a narrow drawing.

Each figure is drawn twice, wide for a monitor and narrow for a phone, and the page shows the one that fits. Colours are those
of the light page; in the SVG each becomes the page's variable of that role, so that a dark page draws it in its own.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from typing import Any

INK, MUTED, GRID = "#1c2430", "#5a6573", "#d9dee5"
MAIN, OTHER, LOSS, GAIN = "#1f5fa8", "#97530f", "#b3362b", "#2b7a4b"
ROLES = {INK: "ink", MUTED: "muted", GRID: "line", MAIN: "main", OTHER: "other", LOSS: "bad", GAIN: "good"}
STYLE = {
    "font.family": "sans-serif",
    "font.size": 9,
    "text.color": INK,
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "axes.facecolor": "none",
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "legend.frameon": False,
    "legend.fontsize": 7.5,
    "svg.fonttype": "none",
}


@dataclass(frozen=True, slots=True)
class Paper:
    """The size of a drawing. width: inches, at which the labels can be read on that screen without zooming."""

    name: str
    width: float

    @property
    def is_narrow(self) -> bool:
        """True for the drawing that a phone shows."""
        return self.name == "narrow"


WIDE, NARROW = Paper("wide", 9.0), Paper("narrow", 4.4)


@contextmanager
def figure(paper: Paper, height: float, rows: int = 1, columns: int = 1, **options: Any) -> Iterator[Any]:
    """A figure that is drawn without a screen and without global state left behind. Yields (figure, axes)."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(STYLE):
        made = Figure(figsize=(paper.width, height), layout="constrained")
        yield made, made.subplots(rows, columns, **options)


@contextmanager
def pair(paper: Paper, height: float, shares: Sequence[int] = (1, 1)) -> Iterator[Any]:
    """A figure of two axes: side by side with these `shares` of the width, or in the narrow drawing one below the other."""
    if paper.is_narrow:
        with figure(paper, 2 * height, 2, 1) as made:
            yield made
    else:
        with figure(paper, height, 1, 2, width_ratios=shares) as made:
            yield made


def svg(made: Any, words: str, paper: Paper) -> str:
    """The figure as an <svg> element that says in words what it shows."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    text = io.StringIO()
    # Ids are hashes of content and salt: equal ones of two pictures would let one be cut by the other's frame.
    with matplotlib.rc_context({"svg.hashsalt": f"{words}, {paper.name}"}):
        FigureCanvasSVG(made)
        made.dpi = 72  # an SVG's, at which its texts are measured
        # Laid out here, once: savefig would draw all of it for that, and then draw it again.
        made.get_layout_engine().execute(made)
        made.set_layout_engine("none")
        made.savefig(text, format="svg", metadata={"Date": None})
    body = text.getvalue()
    body = body[body.index("<svg") :]
    for colour, role in ROLES.items():
        body = body.replace(colour, f"var(--{role})")
    label = f'<svg role="img" class="{paper.name}" aria-label="{escape(words)}" '
    return body.replace("<svg ", label, 1)


def in_percent(axis: Any) -> None:
    """Format the ticks of an axis of shares as percentages."""
    from matplotlib.ticker import PercentFormatter

    axis.set_major_formatter(PercentFormatter(1.0, decimals=None))


def by_date(axis: Any, paper: Paper) -> None:
    """Format the ticks of an axis of dates, few enough for the width."""
    from matplotlib.dates import HOURLY, MONTHLY, AutoDateLocator, ConciseDateFormatter

    locator = AutoDateLocator(maxticks=5 if paper.is_narrow else 10)
    # A few days are too many hours for its own list, and a few years too many months: a tick a day, a tick a year.
    for unit, more in ((HOURLY, (24, 48)), (MONTHLY, (12, 24))):
        locator.intervald[unit] = [*locator.intervald[unit], *more]
    axis.set_major_locator(locator)
    axis.set_major_formatter(ConciseDateFormatter(locator))
