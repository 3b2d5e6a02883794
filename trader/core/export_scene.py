"""What the proof of an export asks beside the splits of the model: the newest hours of the bars, and rows that are drawn."""

from __future__ import annotations

import numpy as np

from trader.core.exports import ExportFacts, ProofScene
from trader.core.features import features, preset_named
from trader.core.forecast import Traits
from trader.core.model import RANGE_QUANTILES, ModelCard, digest_of
from trader.core.panel import Panel
from trader.core.params import params_of
from trader.core.types import HOUR_MS, Bars, Matrix, flat_bars

REAL_ROWS, DRAWN_ROWS = 2_000, 1_000
WINDOWS = 200
_FIRST_MS = 1_640_995_200_000  # of a drawn walk


def facts_for(card: ModelCard) -> ExportFacts:
    """What an exported file says of the model of a card."""
    horizon = params_of(card.params, f"the card of {card.model_id}").horizon_hours
    return ExportFacts(
        card.model_id,
        card.model_sha256,
        digest_of(card),
        card.family,
        tuple(card.symbols),
        card.features,
        tuple(card.columns),
        horizon,
    )


def scene_of(card: ModelCard, traits: Traits, bars: Bars | None) -> ProofScene:
    """The newest hours of `bars` (None, or too few: a drawn walk), and rows drawn from the ranges of the card."""
    if traits.reads == "rows":
        return _scene_of_rows(card, bars)
    needed = traits.context_hours + 1
    is_real = bars is not None and len(bars) >= needed
    used = bars if bars is not None and is_real else drawn_bars(card.symbols[0], needed + WINDOWS)
    used = used.rows(max(0, len(used) - needed - WINDOWS), len(used))
    panel = Panel.of([used])
    return ProofScene(panel, panel.close_time[-WINDOWS:], is_real, np.zeros((0, 0), np.float32))


def _scene_of_rows(card: ModelCard, bars: Bars | None) -> ProofScene:
    drawn = drawn_rows(card)
    if bars is not None and len(bars):
        start = max(bars.first, bars.last - (REAL_ROWS - 1) * HOUR_MS)
        X = features(bars, preset_named(card.features), start, bars.last + HOUR_MS)
        if not np.isnan(X).all(axis=1).all():
            panel = Panel.of([bars.span(start, bars.last + HOUR_MS)], [X])
            return ProofScene(panel, panel.close_time, is_real=True, drawn=drawn)
    panel = Panel.of([flat_bars(card.symbols[0], 1.0, card.valid_from, len(drawn))], [drawn])
    return ProofScene(panel, panel.close_time, is_real=False, drawn=drawn)


def drawn_rows(card: ModelCard, rows: int = DRAWN_ROWS) -> Matrix:
    """(rows, k) float32 without NaN: each column from its own range by the card, a fifth of the rows three times as wide. The
    same rows each time."""
    rng = np.random.default_rng(20)
    X = np.empty((rows, len(card.columns)), np.float32)
    wide = np.arange(rows) % 5 == 0
    for i, column in enumerate(card.columns):
        known = np.array(card.ranges[column]) if column in card.ranges else np.linspace(-1, 1, 13)
        middle = known[len(known) // 2]
        values = np.interp(rng.random(rows), RANGE_QUANTILES, known)
        X[:, i] = np.where(wide, middle + 3 * (values - middle), values)
    return X


def drawn_bars(symbol: str, hours: int) -> Bars:
    """A walk of so many hours whose volatility changes, for a model whose bars are not at hand. The same each time."""
    rng = np.random.default_rng(20)
    spread = 0.006 * np.exp(0.7 * np.sin(np.arange(hours) / 31))
    close = 100 * np.exp(np.cumsum(spread * rng.normal(size=hours)))
    opened = np.concatenate([[100.0], close[:-1]])
    high = np.maximum(opened, close) * (1 + spread * rng.random(hours))
    low = np.minimum(opened, close) * (1 - spread * rng.random(hours))
    flat = flat_bars(symbol, 100.0, _FIRST_MS, hours)
    return Bars(
        symbol,
        flat.close_time,
        opened,
        high,
        low,
        close,
        np.exp(rng.normal(5, 1, hours)),
        np.zeros(hours, np.bool_),
    )
