"""A bot: one symbol's journal, its venue, its market and its models, kept between ticks."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Protocol

from trader.app.book_journal import BookRecord
from trader.app.collect import Collector
from trader.app.cover import OrderLimits
from trader.app.journal import Journal
from trader.app.orders import ExecutionContext
from trader.app.retrain import champions, load_model, params_or_newest_readable
from trader.core.errors import ConfigError, DataError
from trader.core.hours import HourState
from trader.core.params import Params, params_of
from trader.core.ports import Clock, Exchange, ForecasterOf
from trader.core.prediction import LoadedModel
from trader.core.records import HourRecord, Totals
from trader.core.types import DAY_MS, Filters, Quote


def loaded(journal: Journal, forecaster_of: ForecasterOf, model_id: str) -> LoadedModel:
    """A published model, read, checked and loaded by its card's family. Raises DataError."""
    card, stored = load_model(journal, model_id)
    forecaster = forecaster_of(card.family)
    if forecaster.format != card.format:
        raise DataError(
            f"models/{model_id}: its card says format {card.format!r}, this program's {card.family} reads "
            f"{forecaster.format!r}. Train again: trader retrain"
        )
    params = params_of(card.params, f"models/{model_id}/card")
    predictor = forecaster.load(stored, f"models/{model_id}/model")
    return LoadedModel(card, params, forecaster.traits, predictor)


# A quote that was asked for together with others is as good as one's own so long.
RECENT_MS = 2_000


@dataclass(frozen=True, slots=True)
class RecentQuote:
    """A quote that was asked for together with those of other symbols. at_ms: when, UTC."""

    quote: Quote
    at_ms: int


class BookOfSleeves(Protocol):
    """The book of many symbols that a bot's symbol belongs to."""

    def book_record(self, hour: int, current: int) -> BookRecord | None:
        """The book record of an hour (UTC ms) before any of its symbols decided it; of an hour before `current` without one
        that it was missed. None before the book began, and for an hour whose record may still be made."""

    def awaits_record(self, hour: int, current: int) -> bool:
        """Whether the book has begun and may still make the record of an hour (UTC ms), so that no symbol may decide it yet."""


@dataclass(slots=True)
class Bot:
    """A bot and everything it reaches the world through. Loaded models and filters are kept between ticks."""

    name: str
    journal: Journal
    exchange: Exchange
    collector: Collector
    forecaster_of: ForecasterOf
    clock: Clock
    version: str
    freeze_on_halt: bool = False
    price_band: Decimal | None = None  # a share, for parameters without one of their own; None is off
    limits: OrderLimits = field(default_factory=OrderLimits)
    wall: Clock | None = None  # this machine's, to compare the venue's with; None where that one is simulated
    quoted: RecentQuote | None = None  # taken by the next decision
    book: BookOfSleeves | None = None  # None where its symbol is all that is traded
    _models: dict[str, LoadedModel] = field(default_factory=dict)
    _params: dict[str, Params] = field(default_factory=dict)
    _filters: tuple[int, Filters] | None = None

    @property
    def symbol(self) -> str:
        """The one symbol that it trades."""
        return self.journal.symbol

    @property
    def context(self) -> ExecutionContext:
        """What carrying out an order needs."""
        return ExecutionContext(self.journal, self.exchange, self.clock, self.name, self.renew_filters)

    def quote(self) -> Quote:
        """Best bid and ask of its symbol: the recent one, once, else asked for now."""
        recent, self.quoted = self.quoted, None
        if recent is not None and 0 <= self.clock.now_ms() - recent.at_ms <= RECENT_MS:
            return recent.quote
        return self.exchange.quote(self.symbol)

    def model(self, model_id: str) -> LoadedModel:
        """A published model, read, checked and loaded by its card's family once."""
        if model_id not in self._models:
            self._models[model_id] = loaded(self.journal, self.forecaster_of, model_id)
        return self._models[model_id]

    def params(self, model_id: str) -> Params:
        """A published model's parameters, read and checked once; the model need not be loaded for them, and where its card is
        lost they are those of the newest card that is not."""
        if model_id in self._models:
            return self._models[model_id].params
        if model_id not in self._params:
            self._params[model_id] = params_or_newest_readable(self.journal, model_id)
        return self._params[model_id]

    def totals_before(self, newest: HourRecord | None) -> Totals:
        """The totals after the newest record; before the first, flat with the allocation of the first champion."""
        if newest is not None:
            return newest.totals
        published = champions(self.journal)
        if not published:
            raise ConfigError("no model serves yet; train one with: trader retrain --params P.json")
        return self.fresh(self.params(published[0].model_id))

    def fresh(self, params: Params) -> Totals:
        """What the first hour begins with: flat, with the whole allocation; a symbol of a book is given its share by that."""
        return Totals(HourState.fresh(params.allocation_usdt if self.book is None else Decimal(0)))

    def filters(self, hour: int) -> Filters:
        """What the venue accepts, asked again every day."""
        if self._filters is None or self._filters[0] != hour // DAY_MS:
            return self.renew_filters(hour)
        return self._filters[1]

    def renew_filters(self, hour: int) -> Filters:
        """The same, asked again now: for an order that was refused by the filters of before."""
        found = self.exchange.filters(self.symbol)
        self._filters = hour // DAY_MS, found
        return found
