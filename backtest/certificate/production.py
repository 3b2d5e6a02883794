"""Production equals test: the newest hours by the bot's own path and by the walk-forward, equal to the bit.

The walk-forward fits the model again from today's bars and predicts many hours at once; the bot reads the stored bytes and asks
them hour by hour. A column out of order, a scaler, a shifted label or a stale bar on either side is a difference.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from backtest.certificate.subject import LiveForecast, Subject
from backtest.engine.history import History
from trader.core.certificate import CertificateCheck, CertificatePart, check_of, figures_of
from trader.core.errors import DataError
from trader.core.forecast import LEVELS, Forecast
from trader.core.long_training import LearnsInEpochs
from trader.core.ports import Predictor
from trader.core.text import plural
from trader.core.types import HOUR_MS, Floats, iso


def production(subject: Subject, hours: int) -> CertificatePart:
    """The part `production`, over the newest `hours`."""
    card, window = subject.card, subject.window
    said = (window.train_from, window.train_until)
    checks = [
        check_of(
            "training hours",
            said == (card.train_from, card.train_until),
            f"the card says {iso(card.train_from)} to {iso(card.train_until)}; its parameters, serving from "
            f"{iso(card.valid_from)}, give {iso(said[0])} to {iso(said[1])}",
        ),
        _training_rows(subject),
    ]
    checks.append(_predicted_twice(subject, hours))
    checks += _recorded(subject)
    return CertificatePart(
        "production", tuple(checks), figures_of(live_hours=hours, recorded_hours=len(subject.recorded))
    )


def _training_rows(subject: Subject) -> CertificateCheck:
    """Today's bars give the very rows and labels that the model was fitted on."""
    try:
        now = subject.training.data_hash
    except DataError as error:
        return check_of("training rows", False, str(error))
    same = now == subject.card.data_hash
    words = f"{plural(subject.card.rows, 'row')}, hash {now}" if same else (
        f"today's bars, columns and labels give rows of the hash {now}; the model was fitted on {subject.card.data_hash}"
    )  # fmt: skip  # one sentence each
    return check_of("training rows", same, words)


def _predicted_twice(subject: Subject, hours: int) -> CertificateCheck:
    first = max(subject.stop - hours * HOUR_MS, subject.bars.first)
    name = "live path and walk-forward"
    try:
        tested, how = _walked(subject, first)
    except DataError as error:
        return check_of(name, False, str(error))
    compared = 0
    for i, hour in enumerate(range(first, subject.stop, HOUR_MS)):
        if not subject.bars.has(hour):
            continue
        lived = subject.told(subject.bars, hour)
        if difference := _difference(lived, tested, i, subject.params.horizon_hours):
            return check_of(name, False, f"{iso(hour)}: {difference}")
        if difference := _difference_ahead(subject, hour, tested, i):
            return check_of(name, False, f"{iso(hour)}: {difference}")
        compared += lived.p_up is not None
    if not compared:
        return check_of(
            name, False, f"none of the {plural(hours, 'newest hour')} has a prediction; collect more bars"
        )
    what = (
        ""
        if tested.quantiles is None
        else f" with their quantiles {plural(tested.quantiles.shape[1], 'hour')} ahead"
    )
    return check_of(
        name,
        True,
        f"{plural(compared, 'hour')} up to {iso(subject.bars.last)}{what} are equal to the bit, {how}",
    )


def _walked(subject: Subject, first: int) -> tuple[Forecast, str]:
    """What the walk-forward says of first <= T < stop, and by which model. A training that takes epochs, perhaps on a GPU, is not
    repeated: its stored bytes predict."""
    window = subject.window
    begin = min(window.train_from, first)
    history = History.of(
        subject.forecaster, subject.bars, subject.params, begin, subject.stop, subject.others
    )
    model: Predictor
    if isinstance(subject.forecaster, LearnsInEpochs):
        model, how = subject.predictor, "by the stored model"
    else:
        model, how = history.fit(window, subject.params), "by a model that was fitted again"
    return history.forecast(model, window.train_until, first, subject.stop), how


def _difference(lived: LiveForecast, tested: Forecast, row: int, horizon: int) -> str:
    """In words; "" where both say the same."""
    p_up = float(tested.p_up[row])
    here = None if np.isnan(p_up) else p_up
    there = None if lived.p_up is None else float(np.float32(lived.p_up))
    if here != there:
        return f"the live path gives P(up) {_text(there)}, the walk-forward {_text(here)}"
    if here is None:
        return ""
    quantiles: Floats = np.zeros(0) if tested.quantiles is None else tested.quantiles[row, horizon - 1]
    if quantiles.tolist() != list(lived.quantiles):
        return f"the live path gives the quantiles {list(lived.quantiles)}, the walk-forward {quantiles.tolist()}"
    return ""


def _difference_ahead(subject: Subject, hour: int, tested: Forecast, row: int) -> str:
    """Between the closes that `trader forecast` shows at an hour (UTC ms) and those of the walk-forward, of every hour ahead: in
    words; "" where both say the same."""
    if subject.ahead is None or tested.quantiles is None:
        return ""
    returns = tested.quantiles[row, : subject.params.forecast_hours]
    shown = subject.ahead(subject.bars.until(hour), hour)
    if np.isnan(returns).any():
        return (
            ""
            if shown is None
            else "a forecast is shown, and the walk-forward says nothing of some hour ahead"
        )
    if shown is None:
        return "no forecast is shown, and the walk-forward gives one"
    wanted = float(subject.bars.close[subject.bars.row(hour)]) * np.exp(np.sort(returns, axis=1))
    if shown.shape != wanted.shape:
        return f"a forecast {plural(len(shown), 'hour')} ahead is shown, and the walk-forward gives {len(wanted)}"
    odd = np.argwhere(shown != wanted)
    if not len(odd):
        return ""
    h, level = odd[0].tolist()
    return (
        f"the quantile {LEVELS[level]:g} of the close {plural(h + 1, 'hour')} ahead is shown as {shown[h, level]:.9g}, and the "
        f"walk-forward gives {wanted[h, level]:.9g}"
    )


def _recorded(subject: Subject) -> Iterator[CertificateCheck]:
    """What stands in the journal of traded hours against what the same path says today."""
    stale = [it for it in subject.recorded if it.bars_hash_now and it.bars_hash_now != it.bars_hash_then]
    compared = sum(bool(it.bars_hash_now) for it in subject.recorded)
    words = f"{plural(compared, 'traded hour')} saw the bars that are there today"
    if stale:
        words = (
            f"{iso(stale[0].close_time)} was decided by bars of the hash {stale[0].bars_hash_then}; the same hours are "
            f"{stale[0].bars_hash_now} today ({plural(len(stale), 'hour')} of {compared}): it saw stale bars, or they "
            "were revised"
        )
    yield check_of("bars of traded hours", not stale, words)
    own = [it for it in subject.recorded if it.own and subject.bars.has(it.close_time)]
    today = [subject.told(subject.bars, it.close_time) for it in own]
    wrong = [
        (it, now)
        for it, now in zip(own, today, strict=True)
        if now.p_up != it.p_up or (it.quantiles and now.quantiles != it.quantiles)
    ]
    words = f"{plural(len(own), 'hour')} that this model traded say the same today"
    if wrong:
        first, now = wrong[0]
        was, there = f"P(up) {_text(first.p_up)}", _text(now.p_up)
        if now.p_up == first.p_up:
            was, there = f"the quantiles {list(first.quantiles)}", f"{list(now.quantiles)}"
        words = (
            f"{plural(len(wrong), 'hour')} of {len(own)} differ: {iso(first.close_time)} was traded at {was}, the same path "
            f"gives {there} today"
        )
    yield check_of("predictions of traded hours", not wrong, words)


def _text(p_up: float | None) -> str:
    return "none" if p_up is None else f"{p_up:.9g}"
