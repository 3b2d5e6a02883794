"""Small multiples of a selection: for each series the closes, the winner's forecast with its intervals, and what came. Light SVG,
no script, no network; a browser lays out what is scrolled to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape

import numpy as np

from backtest.executors.protocol import Array, Arrays
from backtest.select.winners import Winner
from trader.core.forecast import LEVELS
from trader.core.types import Floats

WIDTH, HEIGHT = 240, 96
_BANDS = ((0, "wide95"), (1, "wide80"), (2, "wide50"))
_MEDIAN = LEVELS.index(0.5)


def page_of(title: str, intro: str, charts: Iterable[str], style: str) -> str:
    """The page as text. intro: a sentence of plain text."""
    head = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<title>{escape(title)}</title>\n<link rel="icon" href="data:,">\n<style>{style}</style>\n</head>\n'
    )
    body = f'<body>\n<header><h1>{escape(title)}</h1>\n<p class="sub">{escape(intro)}</p></header>\n<main>\n<ul class="many">\n'
    return head + body + "\n".join(charts) + "\n</ul>\n</main>\n</body>\n</html>"


def chart(winner: Winner, arrays: Arrays, words: str) -> str:
    """A series' item: its symbol, the winner, and the picture. arrays: before, quantiles and came, as its task gave them."""
    label = f"{winner.symbol} by {winner.candidate}: {words}"
    return (
        f"<li><strong>{escape(winner.symbol)}</strong><span>{escape(f'{winner.candidate}, {words}')}</span>"
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(label)}">'
        f"{''.join(_drawn(arrays['before'], arrays['quantiles'], arrays['came']))}</svg></li>"
    )


def _drawn(before: Array, quantiles: Array, came: Array) -> Iterator[str]:
    """before: log closes up to the forecast's start; quantiles (h, level) and came (h,) relative to the last of them."""
    start = before[-1]
    past, later = np.exp(before - start), np.exp(came)
    ahead = np.exp(np.sort(quantiles, axis=1)) if len(quantiles) else np.zeros((0, len(LEVELS)))
    known = np.concatenate([past, later, ahead.ravel()])
    known = known[~np.isnan(known)]
    scale = _Scale(len(past) + max(len(later), len(ahead)), float(known.min()), float(known.max()))
    at = len(past) - 1
    for level, name in _BANDS if len(ahead) else ():
        low, high = np.concatenate([[1], ahead[:, level]]), np.concatenate([[1], ahead[:, -1 - level]])
        points = [*scale.points(low, at), *reversed(scale.points(high, at))]
        yield f'<polygon class="{name}" points="{" ".join(points)}"/>'
    if len(ahead):
        yield _line("middle", scale.points(np.concatenate([[1], ahead[:, _MEDIAN]]), at))
    yield _line("actual", scale.points(past, 0))
    yield _line("came", scale.points(np.concatenate([[1], later]), at))


def _line(name: str, points: Sequence[str]) -> str:
    return f'<polyline class="{name}" points="{" ".join(points)}"/>'


class _Scale:
    """From steps and prices to whole points of the picture: short numbers make a light page."""

    def __init__(self, steps: int, low: float, high: float) -> None:
        self._across = WIDTH / max(1, steps - 1)
        self._low, self._high = (low, high) if high > low else (low * 0.99, high * 1.01)

    def points(self, values: Floats, first: int) -> list[str]:
        """Of consecutive steps; a value that is missing has no point."""
        down = (self._high - values) / (self._high - self._low) * (HEIGHT - 4) + 2
        return [
            f"{round((first + i) * self._across)},{round(y)}" for i, y in enumerate(down.tolist()) if y == y
        ]
