"""What is certified: a model with its card, the bars it follows from, and the path by which the bot would ask it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from trader.core.model import ModelCard, rows_by_symbol
from trader.core.params import Params
from trader.core.ports import Forecaster, Predictor
from trader.core.training import Training, training_of
from trader.core.types import DAY_MS, HOUR_MS, Bars, Floats, Matrix
from trader.core.windows import Refit, refit_of

LIVE_HOURS = 48
NEWEST_DAYS = 180
NEWEST_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class LiveForecast:
    """What the bot would say of an hour. p_up: None where it would say nothing. quantiles: of the return over the horizon at
    `trader.core.forecast.LEVELS`, () for a family that gives P(up) alone."""

    p_up: float | None
    quantiles: tuple[float, ...] = ()


# (bars up to an hour, the hour in UTC ms) -> what the bot would say of it
LivePath = Callable[[Bars, int], LiveForecast]
# (bars up to an hour, the hour in UTC ms) -> quantiles of the closes ahead of it (h, level), as a person is shown them; None
# where nothing is shown
AheadPath = Callable[[Bars, int], Floats | None]


@dataclass(frozen=True, slots=True)
class RecordedHour:
    """An hour that the bot has traded. p_up: what the model of the certificate said at it, where `own`. bars_hash_then: of the
    bars that the hour's prediction was computed from; bars_hash_now: of the same hours of today's bars, "" where unknown.
    quantiles: what it said of the return over the horizon, () of a family that gives P(up) alone."""

    close_time: int
    own: bool
    p_up: float | None
    bars_hash_then: str
    bars_hash_now: str
    quantiles: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Spans:
    """How much is looked at. live_hours: newest hours that are predicted twice. newest_days: of the walk-forward. newest_share:
    of its hours that count as the newest."""

    live_hours: int = LIVE_HOURS
    newest_days: int = NEWEST_DAYS
    newest_share: float = NEWEST_SHARE


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """A model that asks for a certificate. bars: of its symbol, up to the newest that is known. others: of the further symbols
    that its fit saw. live: the bot's own path. ahead: that of `trader forecast`; None: it is not compared. differences: of
    exported forms, None where none is stored."""

    card: ModelCard
    params: Params
    forecaster: Forecaster
    model: bytes
    bars: Bars
    live: LivePath
    ahead: AheadPath | None = None
    others: tuple[Bars, ...] = ()
    recorded: Sequence[RecordedHour] = ()
    differences: Sequence[str] | None = None
    _loaded: list[Predictor] = field(default_factory=list)
    _learnt: list[Training] = field(default_factory=list)

    @property
    def predictor(self) -> Predictor:
        """The stored model, loaded once. Raises DataError for bytes that are none."""
        if not self._loaded:
            self._loaded.append(self.forecaster.load(self.model, f"models/{self.card.model_id}/model"))
        return self._loaded[0]

    @property
    def training(self) -> Training:
        """What the model's window is fitted on by today's bars, computed once. Raises DataError where they do not hold it."""
        if not self._learnt:
            traits = self.forecaster.traits
            self._learnt.append(training_of(self.bars, self.window, self.params, traits, self.others))
        return self._learnt[0]

    @property
    def learnt(self) -> Matrix:
        """The rows of the subject's own symbol that the window's fit learns from: (rows, k)."""
        return rows_by_symbol(self.training)[self.bars.symbol]

    @property
    def window(self) -> Refit:
        """The hours that the card's parameters say the model was fitted on, and those that it serves."""
        return refit_of(self.params, 0, self.card.valid_from)

    @property
    def stop(self) -> int:
        """The hour after the newest bar, UTC ms."""
        return self.bars.last + HOUR_MS

    def told(self, bars: Bars, hour: int) -> LiveForecast:
        """What the bot would say of an hour by these bars, of which it is given none that is later."""
        return self.live(bars.until(hour), hour)


def first_walked(card: ModelCard, params: Params, stop: int, days: int) -> int:
    """The first hour (UTC ms) of a walk-forward that covers the newest `days` before `stop`, on the calendar of the model's own
    refits: so that folds that were kept for an earlier certificate are found again."""
    step, wanted = params.step_days * DAY_MS, stop - days * DAY_MS
    return card.valid_from - -(-(card.valid_from - wanted) // step) * step
