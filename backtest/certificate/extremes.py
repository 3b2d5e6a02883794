"""Extremes: what a model says of hours that it can never have learnt is finite, within bounds, and moves as its family says."""

from __future__ import annotations

import math

import numpy as np

from backtest.certificate.sensitivity import scores_of, sensitivity
from backtest.certificate.shocks import DEVIATIONS, Shock, shocks
from backtest.certificate.subject import LiveForecast, Subject
from trader.core.certificate import CertificateCheck, CertificatePart, check_of, figures_of
from trader.core.text import plural
from trader.core.types import HOUR_MS

SEARCHED_HOURS = 48


def extremes(subject: Subject) -> CertificatePart:
    """The part `extremes`."""
    hour = newest_said(subject)
    if hour is None:
        words = f"none of the {plural(SEARCHED_HOURS, 'newest hour')} has a prediction, so no shock can be compared"
        return CertificatePart("extremes", (check_of("shocked bars", False, words),), {})
    known = subject.bars.until(hour)
    told = [(it, subject.told(it.bars, hour)) for it in shocks(known)]
    checks = [_bounded(told), _silent_in_a_gap(subject, hour)]
    if subject.forecaster.traits.reads == "rows":
        checks.append(_moved_features(subject, hour))
    if all(check.passed for check in checks):
        checks += sensitivity(subject, hour, told)
    ups = [said.p_up for _, said in told if said.p_up is not None]
    return CertificatePart(
        "extremes",
        tuple(checks),
        figures_of(
            shocks=len(told),
            p_up=subject.told(known, hour).p_up,
            least_p_up=min(ups, default=None),
            largest_p_up=max(ups, default=None),
        ),
    )


def newest_said(subject: Subject) -> int | None:
    """The newest hour (UTC ms) of which the bot would say something; None where it would not of SEARCHED_HOURS hours."""
    for hour in range(
        subject.bars.last, max(subject.bars.first, subject.stop - SEARCHED_HOURS * HOUR_MS), -HOUR_MS
    ):
        before = hour - HOUR_MS
        if (
            subject.bars.has(hour)
            and subject.bars.has(before)
            and subject.told(subject.bars, hour).p_up is not None
        ):
            return hour
    return None


def _bounded(told: list[tuple[Shock, LiveForecast]]) -> CertificateCheck:
    """A probability, and quantiles that are finite and do not cross."""
    for shock, said in told:
        if problem := _problem(said, may_be_silent=shock.may_be_silent):
            return check_of("shocked bars", False, f"{shock.name}: {problem}")
    return check_of(
        "shocked bars",
        True,
        f"{plural(len(told), 'shock')}: P(up) within 0 to 1, quantiles finite and in order",
    )


def _problem(said: LiveForecast, *, may_be_silent: bool) -> str:
    if said.p_up is None:
        return "" if may_be_silent else "nothing is said of it"
    if not 0 <= said.p_up <= 1:  # NaN too
        return f"P(up) is {said.p_up}"
    if not all(map(math.isfinite, said.quantiles)):
        return f"a quantile is not finite: {list(said.quantiles)}"
    if list(said.quantiles) != sorted(said.quantiles):
        return f"quantiles cross: {list(said.quantiles)}"
    return ""


def _silent_in_a_gap(subject: Subject, hour: int) -> CertificateCheck:
    """Nothing is said of an hour for which the exchange had no bar."""
    known = subject.bars.until(hour)
    without = known.rows(0, len(known) - 1).extended_to(hour)
    said = subject.told(without, hour).p_up
    words = "no P(up) without a bar" if said is None else f"P(up) {said} of an hour without a bar"
    return check_of("an hour without a bar", said is None, words)


def _moved_features(subject: Subject, hour: int) -> CertificateCheck:
    """Each feature by itself, moved by standard deviations of what was learnt from, and all at once."""
    learnt = subject.learnt
    deviation = learnt.astype(np.float64).std(axis=0)
    base, rows, names = learnt[-1].astype(np.float64), [], []
    for times in (sign * k for k in DEVIATIONS for sign in (1, -1)):
        for column, name in enumerate(subject.card.columns):
            row = base.copy()
            row[column] += times * deviation[column]
            rows.append(row)
            names.append(f"{name} moved by {times:+d} standard deviations")
        rows.append(base + times * deviation)
        names.append(f"all features moved by {times:+d} standard deviations")
    said = scores_of(subject, np.asarray(rows, np.float32), hour)
    bad = np.flatnonzero(~((said >= 0) & (said <= 1)))
    words = f"{plural(len(rows), 'row')} give P(up) {said.min():.4f} to {said.max():.4f}"
    if len(bad):
        words = f"{names[bad[0]]}: P(up) is {said[bad[0]]}"
    return check_of("moved features", not len(bad), words)
