"""The service: models and bars of every symbol, looked after in the background, and the forecasts that are asked for."""

from __future__ import annotations

import asyncio
import os
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from trader.core.errors import DataError, TraderError
from trader.core.types import HOUR_MS, Bars, iso
from trader.serving.asked_bars import bars_of, hour_of, require_whole
from trader.serving.bounds import Bounds
from trader.serving.lane import Lane
from trader.serving.metrics import ServeMetrics
from trader.serving.model import ServedModel, Standing, forecast_answer
from trader.serving.refusal import RETRY_AFTER_S, Refused, refusal_of
from trader.serving.schemas import BarRow, ForecastAnswer, ForecastRequest, Runtime
from trader.serving.served import Choice, Published, SymbolModels
from trader.serving.sources import Sources

# Answers of hours that are over never change, but for a champion that changes, which is part of their key.
MOST_ANSWERS = 4_096

Say = Callable[..., None]


@dataclass(frozen=True, slots=True)
class _Key:
    """What an answer from collected bars follows from."""

    symbol: str
    hour: int
    horizon: int | None
    choice: Choice


@dataclass(frozen=True, slots=True)
class _Newest:
    """The answer about the newest hour, as long as nothing else was published."""

    hour: int
    published: Published
    answer: bytes


class Service:
    """Forecasts of many symbols. Its methods are called on one event loop.

    Three kinds of threads: `store` reads journals and loads models, `bars` collects, `compute` predicts. A store or a source that
    hangs so holds up no prediction from what is known.
    """

    def __init__(
        self,
        sources: Sources,
        alias: str,
        runtime: Runtime,
        metrics: ServeMetrics,
        say: Say,
        bounds: Bounds | None = None,
    ) -> None:
        self.bounds = bounds or Bounds()
        self.sources, self.metrics, self._say = sources, metrics, say
        self.models = {
            symbol: SymbolModels(source, alias, runtime, say, metrics.reloaded)
            for symbol, source in sources.symbols.items()
        }
        most = self.bounds.computations
        self._store = Lane("model loads", 1, most, metrics.shed)
        self._bars = Lane("looks for bars", 1, most, metrics.shed)
        self.compute = Lane("computations", os.cpu_count() or 1, most, metrics.shed)
        self._newest: dict[tuple[str, int | None], _Newest] = {}
        self._answers: OrderedDict[_Key, bytes] = OrderedDict()
        self._pending: dict[_Key, asyncio.Task[bytes]] = {}
        self._looking: asyncio.Task[None] | None = None
        self.on_failure: Callable[[], None] = lambda: None

    async def start(self) -> None:
        """Load what can be loaded, then keep looking for new champions and new hours."""
        await self._look_once()
        self._looking = asyncio.create_task(self._keep_looking())
        self._looking.add_done_callback(lambda _: self.on_failure())

    async def stop(self) -> None:
        """End the looking, and begin no work. What was asked has been answered before."""
        for lane in (self._store, self._bars, self.compute):
            lane.close()
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait([self._looking])

    @property
    def bug(self) -> BaseException | None:
        """What ended the looking, where that was not `stop`."""
        ended = self._looking is not None and self._looking.done() and not self._looking.cancelled()
        return self._looking.exception() if self._looking is not None and ended else None

    @property
    def alive(self) -> bool:
        """Whether it still looks for champions and hours."""
        return self._looking is not None and not self._looking.done()

    def readiness(self) -> tuple[bool, str]:
        """Whether a model answers for at least one symbol, and what is wrong with each that has none, or an old one."""
        newest, ready, said = self.sources.newest_hour(), False, []
        for symbol, models in self.models.items():
            model, why = models.state(newest)
            ready = ready or model is not None
            name = "none" if model is None else model.model_id
            said.append(f"{symbol}: {name}" + (f" ({why})" if why else ""))
        return ready, "; ".join(said)

    async def _keep_looking(self) -> None:
        while True:
            await self._warm()
            await asyncio.sleep(self.bounds.refresh_s)
            await self._look_once()

    async def _look_once(self) -> None:
        await self._store.run(self.sources.follow_clock)
        newest = self.sources.newest_hour()
        for symbol, models in self.models.items():
            await self._store.run(lambda models=models: models.look(newest))  # type: ignore[misc]
            self.metrics.serves(symbol, models.state(newest)[0])

    async def _warm(self) -> None:
        """The newest hour of every symbol is answered before anybody asks, as soon as its bar is there."""
        for symbol in self.models:
            try:
                await self.forecast(ForecastRequest(symbol=symbol), None)
            except Refused:
                continue  # whoever asks is told the same

    async def forecast(self, asked: ForecastRequest, deadline: float | None) -> bytes:
        """The answer, as JSON. deadline: the loop's time by which it must be there. Raises Refused."""
        newest = self.sources.newest_hour()
        if asked.hour is None and asked.bars is None:
            known = self._newest.get((asked.symbol, asked.horizon_hours))
            if known and known.hour == newest and known.published is self.models[asked.symbol].published:
                return known.answer
        models = self.models.get(asked.symbol)
        if models is None:
            raise Refused(
                422,
                f"{asked.symbol} is not served here; there are {', '.join(self.models)}. Start trader serve --symbol "
                f"{asked.symbol}",
            )
        if asked.bars is not None:
            return await self._from_request(models, asked, asked.bars, newest, deadline)
        hour = newest if asked.hour is None else hour_of(asked.hour, newest)
        key = _Key(asked.symbol, hour, asked.horizon_hours, models.choose(hour, newest))
        found = self._answers.get(key)
        if found is None:
            found = await self._once(key, models, deadline)
        if hour == newest:
            self._newest[asked.symbol, asked.horizon_hours] = _Newest(hour, models.published, found)
        return found

    async def _once(self, key: _Key, models: SymbolModels, deadline: float | None) -> bytes:
        """One computation for all who ask the same at the same time."""
        task = self._pending.get(key)
        if task is None:
            task = asyncio.create_task(self._computed(key, models, deadline))
            self._pending[key] = task
            task.add_done_callback(lambda it: self._computed_once(key, it))
        if deadline is None:
            return await asyncio.shield(task)
        left = max(0.0, deadline - asyncio.get_running_loop().time())
        try:
            return await asyncio.wait_for(asyncio.shield(task), left)
        except TimeoutError:
            self.metrics.shed("request")
            raise Refused(503, f"no answer in time about {key.symbol}; ask again", RETRY_AFTER_S) from None

    def _computed_once(self, key: _Key, task: asyncio.Task[bytes]) -> None:
        del self._pending[key]
        if task.cancelled() or task.exception() is not None:
            return
        self._answers[key] = task.result()
        while len(self._answers) > MOST_ANSWERS:
            self._answers.popitem(last=False)

    async def _computed(self, key: _Key, models: SymbolModels, deadline: float | None) -> bytes:
        model = await self._model(models, key.choice.model_id, deadline)
        card = model.loaded.card
        if key.hour < card.train_from:
            raise Refused(
                422,
                f"{iso(key.hour)} is before what {card.model_id} was trained on, which begins at {iso(card.train_from)}",
            )
        begin = model.loaded.reads_from(key.hour)
        try:
            bars = await self._bars.run(lambda: models.source.bars_for(begin, key.hour), deadline)
        except DataError as error:
            raise refusal_of(error, 422 if key.hour < self.sources.newest_hour() else 503) from None
        except TraderError as error:
            raise refusal_of(error) from None
        return await self._predicted(model, bars, key.hour, key.horizon, key.choice.standing, deadline)

    async def _model(self, models: SymbolModels, model_id: str, deadline: float | None) -> ServedModel:
        there = models.published.models.get(model_id)
        if there is not None:
            return there
        try:
            return await self._store.run(lambda: models.load(model_id), deadline)
        except TraderError as error:
            raise refusal_of(error) from None

    async def _predicted(
        self,
        model: ServedModel,
        bars: Bars,
        hour: int,
        horizon: int | None,
        standing: Standing,
        deadline: float | None,
        source: str = "collected",
    ) -> bytes:
        def work() -> ForecastAnswer:
            return forecast_answer(model, bars, hour, horizon, standing, source)

        try:
            answer = await self.compute.run(work, deadline)
        except TraderError as error:
            raise refusal_of(error, 422 if source == "request" else 503) from None
        if source == "collected" and hour == self.sources.newest_hour():
            self.metrics.answered(answer, hour)
        return answer.model_dump_json().encode()

    async def _from_request(
        self,
        models: SymbolModels,
        asked: ForecastRequest,
        rows: list[BarRow],
        newest: int,
        deadline: float | None,
    ) -> bytes:
        try:
            bars = await self.compute.run(lambda: bars_of(asked.symbol, rows), deadline)
        except DataError as error:
            raise refusal_of(error, 422) from None
        hour = bars.last if asked.hour is None else hour_of(asked.hour, newest)
        if bars.last > newest:
            raise Refused(
                422,
                f"bars of the request reach {iso(bars.last)}, and the newest closed hour is {iso(newest)}; leave out what "
                "is not over",
            )
        if not bars.first <= hour <= bars.last:
            raise Refused(
                422,
                f"bars of the request close from {iso(bars.first)} to {iso(bars.last)}, without {iso(hour)}; send that "
                "hour's bar too",
            )
        choice = models.choose(hour, newest)
        model = await self._model(models, choice.model_id, deadline)
        begin = model.loaded.reads_from(hour)
        if bars.first > begin:
            raise Refused(
                422,
                f"{model.model_id} reads the bars from {iso(begin)} to {iso(hour)}, {(hour - begin) // HOUR_MS + 1:,} of "
                f"them; yours begin at {iso(bars.first)}. Send all: with fewer the numbers would differ from the bot's",
            )
        require_whole(model, bars, begin, hour)
        return await self._predicted(
            model, bars, hour, asked.horizon_hours, choice.standing, deadline, "request"
        )
