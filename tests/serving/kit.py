"""A server of the very application on a free port, over a store and a market in memory whose clock a test moves."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import httpx

from tests.support.bars_made import bars_made
from tests.support.fakes import FakeClock, MemoryMarket, MemoryStore
from tests.support.rig import QUICK_TREES, quick_params
from trader.app.collect import Collector
from trader.app.journal import Journal
from trader.app.retrain import ASKED, retrain
from trader.core.model import ModelCard
from trader.core.params import params_of
from trader.core.types import HOUR_MS, Bars, iso
from trader.forecasters.registry import forecaster_of
from trader.serving import server
from trader.serving.bounds import Bounds
from trader.serving.metrics import ServeMetrics
from trader.serving.schemas import Runtime
from trader.serving.service import Service
from trader.serving.sources import Sources, SymbolSource

BARS = bars_made(2_900, 5, missing=(2_850,), start="2021-01-01")
GAP = BARS.first + 2_850 * HOUR_MS
START = BARS.first + 2_800 * HOUR_MS  # the first model serves from here on
NAIVE = {"family": "naive", "forecast_hours": 6}
# A machine that is busy with other work pauses for a second; a test of a bound says its own.
PATIENT = Bounds(head_s=60, body_s=60, answer_s=60, refresh_s=0.05)
HASTY = replace(PATIENT, head_s=0.4, body_s=0.4)


@dataclass
class Stage:
    """A store, a market and a clock, before and while they are served. book: all symbols of the store, where it has several."""

    bars: Bars = BARS
    clock: FakeClock = field(default_factory=lambda: FakeClock(START + 5_000))
    store: MemoryStore = field(default_factory=MemoryStore)
    said: list[str] = field(default_factory=list)
    book: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.symbol = self.bars.symbol
        self.collector = Collector(MemoryMarket(self.bars, self.clock), self.symbol)
        self.journal = Journal(self.store, self.symbol, self.book)

    def train(self, hour: int = START, model: dict[str, Any] | None = None, **changes: Any) -> ModelCard:
        """Publish a model that serves from an hour (UTC ms) on: by a journal of its own, as another process would."""
        params = params_of(quick_params(model=model or QUICK_TREES, **changes), "tests")
        collector = Collector(MemoryMarket(self.bars, FakeClock(hour)), self.symbol)
        journal = Journal(self.store, self.symbol, self.book)
        return retrain(journal, collector, forecaster_of, params, hour, "tests", ASKED)

    def at(self, hour: int) -> None:
        """Move the clock to just after an hour."""
        self.clock.time_ms = hour + 5_000

    def service(
        self,
        alias: str = "champion",
        bounds: Bounds = PATIENT,
        runtime: Runtime = "native",
        beside: Sequence[Stage] = (),
    ) -> Service:
        """What is served, not yet begun. beside: stages of other symbols, served by this one's clock."""
        sources = {it.symbol: SymbolSource(it.journal, it.collector) for it in (self, *beside)}
        return Service(Sources(sources, self.clock), alias, runtime, ServeMetrics(), self._say, bounds)

    def _say(self, text: str, *_: Any, **__: Any) -> None:
        self.said.append(text)


@dataclass
class Client:
    """What asks the server."""

    url: str
    http: httpx.Client
    service: Service

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.url.rpartition(":")[2])

    def post(self, path: str, body: Any, **headers: str) -> httpx.Response:
        """A body as JSON, or bytes as they are."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.http.post(path, content=content, headers=headers)

    def forecast(self, **asked: Any) -> Any:
        """The answer to one request, which must be one."""
        reply = self.post("/v1/forecast", {"symbol": "BTCUSDT", **asked})
        assert reply.status_code == 200, reply.text
        return reply.json()

    def refused(self, body: Any, path: str = "/v1/forecast") -> tuple[int, str]:
        """The status and the message of a refusal."""
        reply = self.post(path, body)
        assert reply.status_code >= 400, reply.text
        return reply.status_code, reply.json()["error"]

    def get(self, path: str) -> httpx.Response:
        """A GET."""
        return self.http.get(path)


@contextmanager
def serving(
    service: Service, token: str = "", log: Callable[..., None] | None = None, tracer: Any = None
) -> Iterator[Client]:
    """The server in a thread of its own, until the test is over; its failure is the test's."""
    listening, failed = threading.Event(), list[BaseException]()
    hold: list[Any] = []
    with server.listen("127.0.0.1", 0) as listener:
        url = server.address_of(listener)

        def run() -> None:
            try:
                server.run(
                    service, listener, listening.set, token=token, log=log, tracer=tracer, started=hold.append
                )
            except BaseException as error:  # told in the test's own thread
                failed.append(error)
            listening.set()

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        assert listening.wait(60)
        try:
            with httpx.Client(base_url=url, timeout=20, trust_env=False) as http:
                yield Client(url, http, service)
        finally:
            for one in hold:
                one.should_exit = True
            thread.join(30)
            assert not thread.is_alive()
    if failed:
        raise failed[0]


def until(holds: Callable[[], bool], seconds: float = 20) -> None:
    """Wait for something that the server does beside."""
    wait = threading.Event()
    for _ in range(int(seconds / 0.02)):
        if holds():
            return
        wait.wait(0.02)
    raise AssertionError("it did not come about")


def rows_until(bars: Bars, hour: int, first: int) -> list[list[float | int]]:
    """Bars as a request carries them: the genuine ones that closed from `first` to `hour` (UTC ms)."""
    part = bars.span(first, hour + HOUR_MS)
    return [
        [int(part.close_time[i]) - HOUR_MS, *(float(getattr(part, name)[i]) for name in _COLUMNS)]
        for i in range(len(part))
        if not part.flagged[i]
    ]


_COLUMNS = ("open", "high", "low", "close", "volume")


def hour_text(hour: int) -> str:
    """As a request names it."""
    return iso(hour)
