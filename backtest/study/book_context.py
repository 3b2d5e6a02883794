"""What every trial of a book's study is evaluated on: the history of each symbol, or of all in one where they share a model, and
the names of fits."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from backtest.engine.pooled_walk import Pool
from backtest.evidence.ledger import data_hash
from backtest.executors.protocol import Array
from backtest.study.cache import code_hash, content_hash, fold_key
from backtest.study.objectives import Objective
from backtest.study.space import LONGEST_LOOK_BACK_DAYS, Space, TrialPlan
from backtest.study.trial_context import SearchTask, TrialContext
from trader.core.book import BookRules
from trader.core.errors import ConfigError
from trader.core.features import anchor_of
from trader.core.params import Params
from trader.core.ports import Forecaster
from trader.core.training import usable_rows
from trader.core.types import HOUR_MS, Bars
from trader.core.windows import Refit, refit_of, refits


@dataclass(frozen=True, slots=True, eq=False)
class BookSearchTask:
    """A book whose one P.json is searched. symbols: in alphabetical order, with the same parameters; one whose bars end early
    stops earlier. Hours start <= T < stop, UTC ms."""

    symbols: tuple[SearchTask, ...]
    rules: BookRules
    start: int
    stop: int

    @property
    def base(self) -> Params:
        """What the search begins from."""
        return self.symbols[0].base

    @property
    def forecaster(self) -> Forecaster:
        """Of all symbols."""
        return self.symbols[0].forecaster


@dataclass(frozen=True, slots=True, eq=False)
class BookContext:
    """A task with the features and labels of every symbol computed once for all trials. each: by symbol; () where the symbols
    share a model. pool: what all windows are fitted on then."""

    task: BookSearchTask
    space: Space
    objective: Objective
    code: str
    cache: Path | None
    each: tuple[TrialContext, ...] = ()
    pool: Pool | None = None
    _contents: dict[Refit, str] = field(default_factory=dict)

    @staticmethod
    def of(
        task: BookSearchTask,
        space: Space,
        objective: Objective,
        cache: Path | None,
        warm: Sequence[Params] = (),
    ) -> BookContext:
        """Raises DataError where bars begin after the training of the longest look-back does, ConfigError for an objective that
        is no function of an equity."""
        if objective == "sum_of_returns":
            raise ConfigError(
                "--objective sum_of_returns adds up the returns of one symbol, and a book has one equity: choose net_sharpe, "
                "net_return or calmar"
            )
        code = code_hash(task.forecaster)
        if not task.rules.params.is_pooled:
            each = tuple(TrialContext.of(it, space, objective, cache, warm) for it in task.symbols)
            return BookContext(task, space, objective, code, cache, each)
        longest = max([LONGEST_LOOK_BACK_DAYS, *(params.look_back_days for params in warm)])
        widest = task.base.model_copy(update={"look_back_days": longest})
        series = [it.bars for it in task.symbols]
        stops = {it.bars.symbol: it.stop for it in task.symbols}
        pool = Pool.of(task.forecaster, task.base, series, task.start, stops, "the book", widest)
        return BookContext(task, space, objective, code, cache, pool=pool)

    @property
    def windows(self) -> int:
        """How many a trial runs to its end; they are the same hours for every look-back."""
        return len(refits(self.task.base, self.task.start, self.task.stop))

    def window(self, plan: TrialPlan, k: int) -> Refit:
        """The window k of a trial."""
        return refit_of(plan.params, k, self.task.start)

    def hours(self, k: int) -> int:
        """How many hours of the book window k serves."""
        window = refit_of(self.task.base, k, self.task.start)
        return (min(window.serve_until, self.task.stop) - window.serve_from) // HOUR_MS

    def key(self, pool: Pool, plan: TrialPlan, window: Refit) -> str:
        """The hash of all that the predictions of a fit on all symbols follow from. Raises DataError where it cannot be
        trained."""
        known = self._contents.get(window)
        if known is None:
            known = self._contents[window] = content_hash(list(_seen(pool, plan, window)))
        return fold_key(known, plan.params, plan.stages, self.code)

    def bars_identity(self) -> dict[str, Any]:
        """What must be equal for a study to go on: the bars of every symbol, and the book."""
        hashes = {it.bars.symbol: data_hash(_used(it)) for it in self.task.symbols}
        book = self.task.rules.params.model_dump(mode="json", exclude={"params", "params_by_symbol"})
        whole = hashlib.sha256(json.dumps(hashes).encode()).hexdigest()[:16]
        return {"data": whole, "symbols": hashes, "book": book}

    def filters_identity(self) -> dict[str, Any]:
        """Of every symbol."""
        return {it.bars.symbol: it.filters.as_json() for it in self.task.symbols}


def _used(task: SearchTask) -> Bars:
    """The bars that a study of a symbol can read."""
    widest = task.base.model_copy(update={"look_back_days": LONGEST_LOOK_BACK_DAYS})
    first = refit_of(widest, 0, task.start).train_from
    return task.bars.span(anchor_of(first), task.stop + HOUR_MS)


def _seen(pool: Pool, plan: TrialPlan, window: Refit) -> Iterator[Array]:
    """Every array that a fit is trained on or predicts, and which symbols these are."""
    panel, y = pool.history.training(window, plan.params)
    yield from usable_rows(panel, y, window.train_until)
    histories = {it.panel.symbols[0]: it for it in pool.history.of_each()}
    served = pool.served(window)
    for symbol, until in served:
        yield histories[symbol].seen_by(window.train_until, window.serve_from, until).X[0]
    yield np.frombuffer(",".join([*panel.symbols, "", *(it for it, _ in served)]).encode(), np.uint8)
