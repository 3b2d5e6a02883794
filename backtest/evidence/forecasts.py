"""How good distributions were, out of sample, beside the naive one: pinball loss, CRPS, coverage, bias, P(up).

Pure: quantiles, outcomes and P(up) in, scores out. Losses are of r = log(close[T + h] / close[T]), smaller is better. Every
comparison is over the hours for which both have a forecast and the outcome is known.

Sources: Koenker and Bassett, "Regression Quantiles" (1978) for the pinball loss; Gneiting and Raftery, "Strictly Proper
Scoring Rules, Prediction, and Estimation" (2007) for CRPS; Brier, "Verification of Forecasts Expressed in Terms of
Probability" (1950).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from backtest.evidence.block_errors import Estimate, block_hours, block_mean, block_ratio
from trader.core.forecast import LEVELS, interval
from trader.core.types import HOUR_MS, Bars, Bools, Floats, Ints

COVERED = (0.5, 0.8, 0.95)
_MEDIAN = LEVELS.index(0.5)


def pinball(quantiles: Floats, outcome: Floats) -> Floats:
    """(a - [r < q]) (r - q) of each level a: quantiles (..., level), outcome (...) -> (..., level)."""
    error = outcome[..., None] - quantiles
    found: Floats = np.where(error < 0, np.asarray(LEVELS) - 1, np.asarray(LEVELS)) * error
    return found


def crps(quantiles: Floats, outcome: Floats) -> Floats:
    """The continuous ranked probability score: quantiles (..., level), outcome (...) -> (...), in units of r.

    CRPS = integral of (F(x) - [x >= r])^2 dx, which equals twice the integral of the pinball loss over all levels. F is the
    distribution that `trader.core.forecast.probability_above` reads off the quantiles: linear between them and
    exponential beyond, so that the integral is exact and no rule of quadrature enters.
    """
    q = np.sort(quantiles, axis=-1)
    a = np.asarray(LEVELS)
    within = _piece(q[..., :-1], q[..., 1:], a[:-1], a[1:], outcome[..., None]).sum(axis=-1)
    below = _tail(q[..., 0] - outcome, q[..., 1] - q[..., 0], a[0], a[1])
    above = _tail(outcome - q[..., -1], q[..., -1] - q[..., -2], 1 - a[-1], 1 - a[-2])
    found: Floats = within + below + above
    return found


def _piece(low: Floats, high: Floats, a: Floats, b: Floats, r: Floats) -> Floats:
    """The integral from `low` to `high`, where F rises in a line from a to b: of F^2 up to r, of (1 - F)^2 after it."""
    at = np.clip(r, low, high)
    width = high - low
    share = np.divide(at - low, width, out=np.zeros_like(at), where=width > 0)
    f = a + (b - a) * share
    before = (at - low) * (a * a + a * f + f * f) / 3
    c, d = 1 - f, 1 - b
    return before + (high - at) * (c * c + c * d + d * d) / 3


def _tail(beyond: Floats, width: Floats, outer: float, inner: float) -> Floats:
    """The integral from the outermost quantile, of level `outer`, to infinity, where the distribution falls exponentially.
    beyond: by how much the outcome lies outside of it; the next quantile, of level `inner`, is `width` further in."""
    scale = width / np.log(inner / outer)
    outside = np.maximum(beyond, 0.0)
    # exp(-outside / scale), 0 for a distribution that ends at its outermost quantile.
    left = np.exp(-np.divide(outside, scale, out=np.full_like(scale, np.inf), where=scale > 0))
    found: Floats = outside - 2 * outer * scale * (1 - left) + outer * outer * scale / 2
    return found


def outcomes(bars: Bars, hours: Ints, steps: int, stop: int) -> Floats:
    """r of hours (m,) UTC ms for h = 1 to `steps`: (m, h), NaN where either close is flagged, or came later than `stop`
    (UTC ms, inclusive): what is scored looks no further than the hours that were asked for."""
    known = bars.until(stop)
    close = np.where(known.flagged, np.nan, np.log(known.close))
    rows = (hours - known.first) // HOUR_MS
    ahead = rows[:, None] + np.arange(1, steps + 1)
    there = ahead < len(close)
    found: Floats = np.where(there, close[np.where(there, ahead, 0)], np.nan) - close[rows][:, None]
    return found


@dataclass(frozen=True, slots=True, eq=False)
class HourScores:
    """The losses of hours (m,) UTC ms, each (m, h), NaN where there is no forecast or no outcome.

    pinball: mean over LEVELS. error: r minus the median. inside: (levels of COVERED, m, h), whether the interval held r.
    """

    hours: Ints
    pinball: Floats
    crps: Floats
    error: Floats
    inside: Bools

    @staticmethod
    def of(hours: Ints, quantiles: Floats, outcome: Floats) -> HourScores:
        """quantiles (m, h, level), outcome (m, h)."""
        ends = [interval(quantiles, level) for level in COVERED]
        inside = np.stack([(low <= outcome) & (outcome <= high) for low, high in ends])
        return HourScores(
            hours,
            pinball(quantiles, outcome).mean(axis=-1),
            crps(quantiles, outcome),
            outcome - quantiles[..., _MEDIAN],
            inside,
        )

    @staticmethod
    def joined(parts: Iterable[HourScores]) -> HourScores:
        """Of consecutive hours."""
        found = list(parts)
        return HourScores(
            np.concatenate([part.hours for part in found]),
            np.concatenate([part.pinball for part in found]),
            np.concatenate([part.crps for part in found]),
            np.concatenate([part.error for part in found]),
            np.concatenate([part.inside for part in found], axis=1),
        )

    @property
    def steps(self) -> int:
        """How many hours ahead they reach."""
        return len(self.pinball[0])


@dataclass(frozen=True, slots=True)
class StepScore:
    """A family h hours ahead beside the naive forecast. Losses are means; skill is 1 - loss / naive loss; coverage is by
    COVERED; bias is the mean of r minus the median."""

    h: int
    pinball: Estimate
    crps: Estimate
    naive_pinball: Estimate
    naive_crps: Estimate
    pinball_skill: Estimate
    crps_skill: Estimate
    coverage: tuple[Estimate, ...]
    naive_coverage: tuple[Estimate, ...]
    bias: Estimate

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        names = ("pinball", "crps", "naive_pinball", "naive_crps", "pinball_skill", "crps_skill", "bias")
        estimates = {name: getattr(self, name).as_json() for name in names}
        covered = [
            {"level": level, **own.as_json(), "naive": naive.value}
            for level, own, naive in zip(COVERED, self.coverage, self.naive_coverage, strict=True)
        ]
        n, blocks = self.pinball.n, self.pinball.blocks
        head = {"h": self.h, "hours": n, "block_hours": block_hours(self.h), "blocks": blocks}
        return {**head, **estimates, "coverage": covered}


def step_score(family: HourScores, naive: HourScores, h: int) -> StepScore:
    """The scores h hours ahead, over the hours that both know."""
    at, hours = h - 1, family.hours
    known = ~(np.isnan(family.pinball[:, at]) | np.isnan(naive.pinball[:, at]))

    def seen(values: Floats) -> Floats:
        return np.where(known, values[..., at], np.nan)

    def mean(values: Floats) -> Estimate:
        return block_mean(seen(values), hours, h)

    def skill(own: Floats, rival: Floats) -> Estimate:
        return block_ratio(seen(own), seen(rival), hours, h).plus(1.0, -1.0)

    return StepScore(
        h=h,
        pinball=mean(family.pinball),
        crps=mean(family.crps),
        naive_pinball=mean(naive.pinball),
        naive_crps=mean(naive.crps),
        pinball_skill=skill(family.pinball, naive.pinball),
        crps_skill=skill(family.crps, naive.crps),
        coverage=tuple(mean(inside.astype(float)) for inside in family.inside),
        naive_coverage=tuple(mean(inside.astype(float)) for inside in naive.inside),
        bias=mean(family.error),
    )


@dataclass(frozen=True, slots=True)
class Overall:
    """Both losses as means over all h, and their skill, over the hours for which every h is known."""

    pinball: Estimate
    crps: Estimate
    pinball_skill: Estimate
    crps_skill: Estimate

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        names = ("pinball", "crps", "pinball_skill", "crps_skill")
        return {name: getattr(self, name).as_json() for name in names}


def overall(family: HourScores, naive: HourScores) -> Overall:
    """The scores over all h together."""
    steps, hours = family.steps, family.hours
    own = [family.pinball.mean(axis=1), family.crps.mean(axis=1)]
    rival = [naive.pinball.mean(axis=1), naive.crps.mean(axis=1)]
    own = [np.where(np.isnan(there), np.nan, it) for it, there in zip(own, rival, strict=True)]
    means = [block_mean(it, hours, steps) for it in own]
    skills = [
        block_ratio(it, there, hours, steps).plus(1.0, -1.0) for it, there in zip(own, rival, strict=True)
    ]
    return Overall(*means, *skills)


@dataclass(frozen=True, slots=True)
class UpScore:
    """P(up) of the horizon: Brier score and hit rate (P(up) of a half counts as up), each beside the naive forecast's."""

    brier: Estimate
    brier_skill: Estimate
    naive_brier: Estimate
    hit_rate: Estimate
    naive_hit_rate: Estimate
    base_rate: Estimate

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        names = ("brier", "brier_skill", "naive_brier", "hit_rate", "naive_hit_rate", "base_rate")
        return {"hours": self.brier.n, **{name: getattr(self, name).as_json() for name in names}}


def up_score(p_up: Floats, naive: Floats, label: Floats, hours: Ints, horizon: int) -> UpScore:
    """p_up, naive and label (n,), 1.0 where the close rose, over the hours at which all are known."""
    known = ~(np.isnan(p_up) | np.isnan(naive) | np.isnan(label))
    y = np.where(known, label, np.nan)
    brier, rival = (p_up - y) ** 2, (naive - y) ** 2

    def mean(values: Floats) -> Estimate:
        return block_mean(values, hours, horizon)

    def hit(told: Floats) -> Estimate:
        return mean(np.where(known, (told >= 0.5) == (y == 1.0), np.nan))

    skill = block_ratio(brier, rival, hours, horizon).plus(1.0, -1.0)
    return UpScore(mean(brier), skill, mean(rival), hit(p_up), hit(naive), mean(y))
