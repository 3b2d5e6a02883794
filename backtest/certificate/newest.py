"""The newest data: are the model's parameters worse on the newest hours than on all of the newest half-year?

The error is the Brier score of P(up), and of a family with a distribution also the scaled pinball loss of its quantiles over the
horizon (`quantile_loss`), out of sample by walk-forward, on the calendar of the model's own refits. Hours depend on each other,
so the interval of a mean is that of blocks (`backtest.evidence.block_errors`). Each fold is kept by its content.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from backtest.certificate.quantile_loss import scaled_pinball
from backtest.certificate.subject import Spans, Subject, first_walked
from backtest.certificate.walked_folds import Walked, walked
from backtest.engine.walkforward import folds
from backtest.evidence.block_errors import Estimate, block_mean
from backtest.executors.protocol import Executor
from backtest.study.cache import FoldCache
from trader.core.certificate import CertificateCheck, CertificatePart, check_of, figures_of
from trader.core.errors import DataError
from trader.core.labels import label_of
from trader.core.params import Params
from trader.core.text import plural
from trader.core.types import DAY_MS, HOUR_MS, Bars, Floats, Ints, Matrix, Progress, iso
from trader.core.windows import refit_of

# Standard errors on either side of a mean: 99 of 100 intervals hold it, so one clean model of two hundred is refused by chance.
Z = 2.576
# The same of quantiles, 99.9 of 100: their loss has no bound, so a mean over few wild days is less normal than a Brier score.
Z_QUANTILES = 3.291
NAME, QUANTILES = "error on the newest hours", "quantiles on the newest hours"


def newest(
    subject: Subject,
    spans: Spans,
    *,
    cache: Path | None = None,
    executor: Executor | None = None,
    progress: Progress | None = None,
) -> CertificatePart:
    """The part `newest`. cache: a folder of folds; None keeps none. It fails where the interval of the newest hours lies wholly
    above the error of all hours."""
    start = _first_with_history(subject, spans.newest_days)
    if start is None:
        words = f"the bars begin at {iso(subject.bars.first)}: too late for one window of a walk-forward, so nothing is compared"
        return CertificatePart("newest", (check_of(NAME, True, words),), figures_of(folds=0))
    try:
        todo = folds(
            subject.forecaster,
            subject.bars,
            subject.params,
            start,
            subject.stop,
            "the bars",
            others=subject.others,
        )
        told, kept = walked(subject, todo, FoldCache(cache) if cache else None, executor, progress)
    except DataError as error:
        return CertificatePart("newest", (check_of(NAME, False, str(error)),), {})
    hours = np.arange(start, subject.stop, HOUR_MS, dtype=np.int64)
    within = hours >= subject.stop - spans.newest_days * DAY_MS
    judged = _judged(subject, hours[within], told.within(within), spans.newest_share)
    figures = {name: value for one in judged for name, value in one.figures.items()}
    return CertificatePart(
        "newest",
        tuple(one.check for one in judged),
        {**figures, **figures_of(folds=len(todo), folds_kept_before=kept)},
    )


def _first_with_history(subject: Subject, days: int) -> int | None:
    """The first hour of the walk-forward whose training lies within the bars, UTC ms; None where there is none before `stop`."""
    start = first_walked(subject.card, subject.params, subject.stop, days)
    while start < subject.stop:
        if subject.bars.first <= refit_of(subject.params, 0, start).train_from:
            return start
        start += subject.params.step_days * DAY_MS
    return None


@dataclass(frozen=True, slots=True)
class _Judged:
    check: CertificateCheck
    figures: dict[str, float]


def _judged(subject: Subject, hours: Ints, told: Walked, share: float) -> list[_Judged]:
    """P(up), and quantiles where there are any: is the loss on the newest `share` of hours (m,) UTC ms worse than on all?"""
    bars, params = subject.bars, subject.params
    first, horizon = len(hours) - max(1, round(len(hours) * share)), params.horizon_hours
    brier = brier_of(bars, params, hours, told.p_up)
    found = [_compared(NAME, "Brier score", "brier", brier, hours, first, horizon)]
    if told.quantiles is not None:
        loss = scaled_pinball(bars, hours, told.quantiles, horizon)
        found.append(_compared(QUANTILES, "scaled pinball loss", "pinball", loss, hours, first, horizon))
    return found


def _compared(
    check: str, loss_name: str, figure: str, loss: Floats, hours: Ints, first: int, horizon: int
) -> _Judged:
    """The loss (m,) of hours (m,) from row `first` on beside that of all of them."""
    every, last = block_mean(loss, hours, horizon), block_mean(loss[first:], hours[first:], horizon)
    z = Z if figure == "brier" else Z_QUANTILES
    low, high = interval_of(last, z)
    low_all, high_all = interval_of(every, z)
    prefix = "" if figure == "brier" else f"{figure}_"
    figures = figures_of(
        **{
            figure: every.value, f"{figure}_low": low_all, f"{figure}_high": high_all,
            f"newest_{figure}": last.value, f"newest_{figure}_low": low, f"newest_{figure}_high": high,
            f"{prefix}hours": every.n, f"newest_{prefix}hours": last.n,
        }
    )  # fmt: skip  # all hours, then the newest
    if last.value is None or every.value is None:
        return _Judged(check_of(check, True, "no hour has a known outcome, so nothing is compared"), figures)
    if low is None:
        words = (
            f"{loss_name} {last.value:.5f} on the newest {plural(last.n, 'hour')}, {every.value:.5f} on all {every.n:,}: too few "
            "days for an interval, so nothing is judged"
        )
        return _Judged(check_of(check, True, words), figures)
    words = (
        f"{loss_name} {last.value:.5f} ({low:.5f} to {high:.5f}) on the newest {plural(last.n, 'hour')}, {every.value:.5f} on "
        f"all {every.n:,}"
    )
    return _Judged(check_of(check, low <= every.value, words), figures)


def brier_of(bars: Bars, params: Params, hours: Ints, p_up: Matrix) -> Floats:
    """(P(up) - [the close rose by more than the hurdle])^2 of hours (m,) UTC ms: (m,) float64, NaN where either is unknown.

    Brier, "Verification of Forecasts Expressed in Terms of Probability" (1950).
    """
    label = label_of(bars, params)[(hours - bars.first) // HOUR_MS]
    found: Floats = (p_up.astype(np.float64) - label) ** 2
    return found


def interval_of(estimate: Estimate, z: float = Z) -> tuple[float | None, float | None]:
    """The ends of the interval of a mean, z standard errors on either side; None where there are too few blocks for one."""
    if estimate.value is None or estimate.error is None:
        return None, None
    return estimate.value - z * estimate.error, estimate.value + z * estimate.error
