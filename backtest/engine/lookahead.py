"""Is anything here known too early? Every feature, the labels a model is trained on, every prediction, every decision.

Each is computed twice: on all bars, and on bars whose future is cut off or poisoned. What an hour may know must be the
same to the bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from backtest.engine.simulate import simulate
from backtest.engine.walkforward import walk_forward
from trader.core.features import features
from trader.core.hours import Rules
from trader.core.lookahead import leaks, poisoned
from trader.core.params import Params
from trader.core.ports import Forecaster
from trader.core.presets import computed, preset_named
from trader.core.training import training_of
from trader.core.types import HOUR_MS, Bars, iso
from trader.core.windows import refits

BLOCK_HOURS = 1_744


@dataclass(frozen=True, slots=True)
class Check:
    """What was looked at, how much of it, and what was found: each a sentence that names the guilty."""

    what: str
    looked_at: int
    found: tuple[str, ...]


def examine(
    forecaster: Forecaster,
    bars: Bars,
    rules: Rules,
    start: int,
    stop: int,
    source: str,
    others: Sequence[Bars] = (),
) -> list[Check]:
    """All checks over the hours start <= T < stop (UTC ms). The forecaster is fitted twice for every window. others: bars of
    the further symbols that a fit sees; their future is spoiled with that of the traded one."""
    return [
        _features(bars, rules.params, start, stop),
        _served(bars, rules.params, start, stop),
        _labels(forecaster, bars, rules.params, start, stop, others),
        *_decisions(forecaster, bars, rules, start, stop, source, others),
    ]


def _features(bars: Bars, params: Params, start: int, stop: int) -> Check:
    """The preset's own function, on one block of these bars."""
    preset = preset_named(params.features)
    last = min(bars.row(stop), len(bars))
    block = bars.rows(max(0, last - BLOCK_HOURS), last)
    found = leaks(lambda part: computed(preset, part), preset.columns, block)
    return Check(
        "features of a block",
        len(preset.columns),
        tuple(
            f"{leak.column}: hour {iso(leak.close_time)} changes when bars after {iso(leak.cut)} are {leak.how}"
            for leak in found
        ),
    )


def _served(bars: Bars, params: Params, start: int, stop: int) -> Check:
    """The rows as they are served, through the anchored blocks, on bars that end with the hour itself."""
    preset = preset_named(params.features)
    whole = features(bars, preset, start, stop)
    hours = np.unique(np.linspace(0, len(whole) - 1, 24).astype(int)).tolist()
    found = []
    for at in hours:
        hour = start + at * HOUR_MS
        alone = features(bars.until(hour), preset, hour, hour + HOUR_MS)[0]
        differs = ~((alone == whole[at]) | (np.isnan(alone) & np.isnan(whole[at])))
        found += [
            f"{preset.columns[i]}: hour {iso(hour)} is another with the bars up to it"
            for i in np.flatnonzero(differs)
        ]
    return Check("features as an hour is served", len(hours) * len(preset.columns), tuple(found))


def _labels(
    forecaster: Forecaster, bars: Bars, params: Params, start: int, stop: int, others: Sequence[Bars]
) -> Check:
    """Every window's training rows, on bars that end when it was trained, and on bars poisoned from then on."""
    windows = refits(params, start, stop)
    found = []
    for window in windows:
        known_at = window.serve_from - params.gap_hours * HOUR_MS
        series = (bars, *others)
        ways = (series, [it.until(known_at) for it in series], [_spoiled(it, known_at) for it in series])
        hashes = {
            training_of(known, window, params, forecaster.traits, beside).data_hash for known, *beside in ways
        }
        if len(hashes) > 1:
            found.append(
                f"labels: the model of {iso(window.serve_from)} was trained on what {iso(known_at)} did not know"
            )
    return Check("labels of every window", len(windows), tuple(found))


def _spoiled(bars: Bars, known_at: int) -> Bars:
    """The bars with everything after an hour (UTC ms) poisoned."""
    row = bars.row(known_at) + 1
    return poisoned(bars, max(0, row)) if row < len(bars) else bars


def _decisions(
    forecaster: Forecaster,
    bars: Bars,
    rules: Rules,
    start: int,
    stop: int,
    source: str,
    others: Sequence[Bars],
) -> list[Check]:
    """Predictions and lines up to the middle of the span, with everything after the next open poisoned."""
    middle = start + (stop - start) // HOUR_MS // 2 * HOUR_MS
    cut = bars.row(middle) + 1
    spoiled = _spoiled(bars, middle)
    # The open of the bar that opens at the middle is known at the middle: one can trade at it.
    spoiled.open[cut : cut + 1] = bars.open[cut : cut + 1]
    before, after = (
        walk_forward(forecaster, told, rules.params, start, stop, source=source, others=beside)
        for told, beside in ((bars, others), (spoiled, [_spoiled(it, middle) for it in others]))
    )
    hours = (middle - start) // HOUR_MS + 1
    same = (before == after) | (np.isnan(before) & np.isnan(after))
    wrong = np.flatnonzero(~same[:hours])
    predicted = tuple(
        f"P(up) of {iso(start + int(i) * HOUR_MS)} changes with the bars after {iso(middle)}"
        for i in wrong[:1]
    )
    one = simulate(bars, before[:hours], rules, start, middle + HOUR_MS).track.texts()
    other = simulate(spoiled, after[:hours], rules, start, middle + HOUR_MS).track.texts()
    lines = [i for i, (a, b) in enumerate(zip(one, other, strict=True)) if a != b]
    decided = tuple(
        f"the decision of {iso(start + i * HOUR_MS)} changes with the bars after {iso(middle)}"
        for i in lines[:1]
    )
    return [Check("predictions", hours, predicted), Check("decisions", hours, decided)]
