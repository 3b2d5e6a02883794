"""A page of forecasts: the newest closes of each symbol, and what each family says of the next hours. It needs no network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from trader.core.text import plural

WIDTH, HEIGHT = 560, 160
# Intervals of 95, 80 and 50 %: the index of the lower level, and how dark it is.
_BANDS = ((0, 0.15), (1, 0.2), (2, 0.3))
_MEDIAN = 3
STYLE = (
    ":root{color-scheme:light dark;--ink:#1b1f24;--paper:#fff;--field:#f6f8fa;--blue:#0969da}"
    "@media (prefers-color-scheme:dark){:root{--ink:#e6edf3;--paper:#0d1117;--field:#161b22;--blue:#58a6ff}}"
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "body{color:var(--ink);background:var(--paper)}"
    "svg{width:100%;height:auto;background:var(--field)}polyline{fill:none;stroke:var(--ink);stroke-width:1.5}"
    "polyline.median{stroke:var(--blue);stroke-dasharray:4 3}polygon{fill:var(--blue)}h2{font-size:1.1rem;margin:1.5rem 0 .3rem}"
    "text{font:10px system-ui,sans-serif;fill:var(--ink)}"
)

Pair = tuple[str, str]


def page_of(forecasts: Mapping[Pair, Mapping[str, Any]], hours: int) -> str:
    """A section a symbol and family."""
    body = "".join(_section(pair, told, hours) for pair, told in forecasts.items())
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1"><title>Forecasts</title>'
        f"<style>{STYLE}</style></head><body><h1>Forecasts</h1><p>The newest closes, and the forecast of at most "
        f"{plural(hours, 'hour')} "
        "after them: shaded the intervals of 50, 80 and 95 %, dashed the median. A family without a distribution says P(up) "
        f"alone.</p>{body}</body></html>\n"
    )


def _section(pair: Pair, told: Mapping[str, Any], hours: int) -> str:
    symbol, family = map(escape, pair)
    p_up = "-" if told["p_up"] is None else f"{told['p_up']:.3f}"
    words = f"{symbol} by {family}: close {told['close']:g} at {told['from'][:16]}Z, P(up) {p_up}"
    shapes = "".join(_drawn(told["closes"], [it["prices"] for it in told["forecast"][:hours]]))
    return (
        f'<h2>{words}</h2><svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{words}">{shapes}</svg>'
    )


def _drawn(closes: list[float], ahead: list[list[float]]) -> Iterator[str]:
    values = [*closes, *(it for row in ahead for it in row)]
    low, high = min(values), max(values)
    across, span = WIDTH / max(1, len(closes) + len(ahead) - 1), (high - low) or 1.0
    at = len(closes) - 1

    def points(prices: Sequence[float], first: int) -> list[str]:
        return [
            f"{(first + i) * across:.1f},{4 + (high - it) / span * (HEIGHT - 8):.1f}"
            for i, it in enumerate(prices)
        ]

    for level, dark in _BANDS if ahead else ():
        lower = [closes[-1], *(row[level] for row in ahead)]
        upper = [closes[-1], *(row[-1 - level] for row in ahead)]
        shape = " ".join([*points(lower, at), *reversed(points(upper, at))])
        yield f'<polygon points="{shape}" fill-opacity="{dark}"/>'
    if ahead:
        yield f'<polyline class="median" points="{" ".join(points([closes[-1], *(row[_MEDIAN] for row in ahead)], at))}"/>'
    yield f'<polyline points="{" ".join(points(closes, 0))}"/>'
    yield f'<text x="4" y="13">{high:,g}</text><text x="4" y="{HEIGHT - 6}">{low:,g}</text>'
