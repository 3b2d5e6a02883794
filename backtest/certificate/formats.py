"""Format: type, order and scale of every column are those of the fit; columns that are missing or too many, and another symbol,
are refused. What is offered otherwise is refused, or changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from backtest.certificate.extremes import newest_said
from backtest.certificate.subject import Subject
from trader.core.certificate import CertificateCheck, CertificatePart, check_of, figures_of
from trader.core.errors import DataError
from trader.core.features import features, preset_named
from trader.core.model import RANGE_QUANTILES, ranges_of
from trader.core.panel import Panel
from trader.core.text import plural
from trader.core.training import context_from
from trader.core.types import HOUR_MS, REQUIRED_COLUMNS, Bars, Ints, Matrix

OTHER_SYMBOL = "NOSUCHUSDT"


def formats(subject: Subject) -> CertificatePart:
    """The part `format`."""
    hour = newest_said(subject)
    if hour is None:
        return CertificatePart(
            "format", (check_of("columns", False, "none of the newest hours has a prediction"),), {}
        )
    panel = _panel(subject, hour)
    hours = np.array([hour])
    checks = [_another_symbol(subject, panel, hours)]
    if subject.forecaster.traits.reads == "rows":
        checks += _columns(subject, hour)
        checks += _rows(subject, panel, hours)
    else:
        checks.append(
            _unchanged(subject, panel, hours, _strided(panel), "arrays that are no single block of memory")
        )
    return CertificatePart("format", tuple(checks), figures_of(columns=len(subject.card.columns)))


def _panel(subject: Subject, hour: int) -> Panel:
    """What the model reads of an hour, by the walk-forward's own code."""
    bars, traits = subject.bars.until(hour), subject.forecaster.traits
    if traits.reads == "series":
        first = max(bars.first, min(hour, context_from(traits, subject.window.train_until, hour)))
        return Panel.of([bars.span(first, hour + HOUR_MS)])
    row = features(bars, preset_named(subject.params.features), hour, hour + HOUR_MS)
    return Panel.of([bars.span(hour, hour + HOUR_MS)], [row])


def _columns(subject: Subject, hour: int) -> Iterator[CertificateCheck]:
    """Names and order by the card; and by the values: each column's distribution in training is that of the card."""
    preset, card = preset_named(subject.params.features), subject.card
    same = list(preset.columns) == card.columns
    words = f"{plural(len(card.columns), 'column')} in the order of the card"
    if not same:
        words = f"the card names {', '.join(card.columns)}; the bot computes {', '.join(preset.columns)}"
    yield check_of("columns and their order", same, words)
    row = features(subject.bars.until(hour), preset, hour, hour + HOUR_MS)
    words = f"a row is {row.dtype}, {plural(row.shape[1], 'column')}"
    yield check_of("type of a row", row.dtype == np.float32 and row.shape[1] == len(card.columns), words)
    known, symbol = card.known_ranges(subject.bars.symbol), subject.bars.symbol
    if not known:
        words = f"the card records no distribution of {symbol}'s columns; train again: trader retrain"
        yield check_of("scale of every column", False, words)
    if not known or not same:
        return
    try:
        X = subject.learnt
    except DataError as error:
        yield check_of("scale of every column", False, str(error))
        return
    yield _scales(ranges_of(X, preset.columns), known)


def _scales(now: dict[str, list[float]], then: dict[str, list[float]]) -> CertificateCheck:
    wrong = [name for name in then if now.get(name) != then[name]]
    words = f"{plural(len(then), 'column')} distributed in training as the card records"
    if wrong:
        middle = RANGE_QUANTILES.index(0.5)
        name = wrong[0]
        was, there = then[name], now.get(name) or [float("nan")] * len(RANGE_QUANTILES)
        words = (
            f"{name} lay within {was[0]:g} to {was[-1]:g} (median {was[middle]:g}) in training; today's code gives {there[0]:g} "
            f"to {there[-1]:g} (median {there[middle]:g}) for the same hours; "
            f"{len(wrong)} of {plural(len(then), 'column')} differ"
        )
    return check_of("scale of every column", not wrong, words)


def _rows(subject: Subject, panel: Panel, hours: Ints) -> Iterator[CertificateCheck]:
    X = panel.X[0]
    wide: Any = X.astype(np.float64)  # what is wrong with it is the point
    yield _unchanged(subject, panel, hours, Panel(panel.bars, (wide,)), "float64 in place of float32")
    yield _unchanged(
        subject,
        panel,
        hours,
        Panel(panel.bars, (np.asfortranarray(X),)),
        "columns that lie one after the other",
    )
    yield _refused("a missing column", lambda: _scored(subject, panel.bars, X[:, :-1], hours))
    more = np.concatenate([X, np.zeros_like(X[:, :1])], axis=1)
    yield _refused("an extra column", lambda: _scored(subject, panel.bars, more, hours))
    yield _refused("no features at all", lambda: subject.predictor.predict(Panel(panel.bars), hours).p_up)


def _scored(subject: Subject, bars: tuple[Bars, ...], X: Matrix, hours: Ints) -> Matrix:
    return subject.predictor.predict(Panel(bars, (np.ascontiguousarray(X),)), hours).p_up


def _strided(panel: Panel) -> Panel:
    """The same numbers, every second of an array that is twice as long."""
    bars = panel.bars[0]
    changed: dict[str, Any] = {
        name: np.repeat(getattr(bars, name), 2)[::2] for name in (*REQUIRED_COLUMNS, "flagged")
    }
    return Panel.of([replace(bars, **changed)])


def _unchanged(subject: Subject, panel: Panel, hours: Ints, other: Panel, what: str) -> CertificateCheck:
    """Refused with a DataError, or predicted as before, to the bit."""
    before = subject.predictor.predict(panel, hours).p_up
    try:
        now = subject.predictor.predict(other, hours).p_up
    except DataError:
        return check_of(what, True, "refused")
    except Exception as error:  # whatever a user's family may raise
        return check_of(
            what, False, f"ended in {type(error).__name__}: {error}; raise DataError, or accept it"
        )
    same = np.asarray(now, np.float32).tobytes() == before.tobytes()
    return check_of(what, same, "changes nothing" if same else f"P(up) is {now} instead of {before}")


def _another_symbol(subject: Subject, panel: Panel, hours: Ints) -> CertificateCheck:
    symbols = getattr(subject.predictor, "symbols", None)
    if symbols is not None and not tuple(
        symbols
    ):  # bytes of an early version: the card alone says it, and the store compares it
        return check_of("another symbol", bool(subject.card.symbols), "the card alone names its symbol")
    other = Panel(tuple(replace(it, symbol=OTHER_SYMBOL) for it in panel.bars), panel.X)
    return _refused("another symbol", lambda: subject.predictor.predict(other, hours).p_up)


def _refused(what: str, work: Callable[[], Matrix]) -> CertificateCheck:
    """With a DataError."""
    try:
        said = work()
    except DataError:
        return check_of(what, True, "refused")
    except Exception as error:  # whatever a user's family may raise
        return check_of(what, False, f"ended in {type(error).__name__}: {error}; raise DataError")
    return check_of(what, False, f"was accepted, and P(up) is {said}; the family must raise DataError")
