"""What the soak happens to: an embedded exchange in a process of its own, a bot's store, and the way to both."""

from __future__ import annotations

import gc
import json
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks.soak_fork import Processes, call, preload
from benchmarks.soak_process import BASE, QUOTE, SYMBOL, Job
from tests.support.bars_made import bars_made
from tests.support.rig import QUICK_TREES, quick_params
from trader import wiring
from trader.adapters.files import read_bars, write_bars
from trader.adapters.store_local import LocalStore
from trader.app.journal import Journal
from trader.config import load_settings
from trader.core.errors import ConfigError
from trader.core.params import Params, params_of
from trader.core.types import HOUR_MS, Bars, iso

# Few trees, soon read, that fit the noise and change their mind often; a loss limit that is reached
# now and then.
TREES = {**QUICK_TREES, "n_estimators": 6, "max_depth": 4, "learning_rate": 0.8, "colsample_bytree": 0.5}
PARAMS = params_of(
    quick_params(model=TREES, step_days=10, exit_edge=0.0, halt_cumulative_return=-0.2), "the soak's own"
)
# A month's anchored block, the look-back, and a little.
HISTORY_HOURS = 1_000 + 31 * 24 + PARAMS.look_back_days * 24 + 48
# What the account holds beside the bot's allocation, so that an order which is sent twice is executed twice.
BASE_BESIDE, QUOTE_BESIDE = Decimal(2), Decimal(25_000)
OUTAGES = ((150, 1), (600, 3), (1_100, 2), (1_700, 4))


@dataclass
class World:
    """An exchange and a bot at it. moved: what went into the account from outside, by asset, beside the allocation."""

    url: str
    http: HTTPConnection
    processes: Processes
    start: int
    moved: dict[str, Decimal] = field(default_factory=lambda: {BASE: Decimal(0), QUOTE: Decimal(0)})

    def sim(self, path: str, body: Any = None) -> Any:
        """GET, or POST with a body, outside /api. Raises RuntimeError where the exchange refuses."""
        method, data = ("GET", None) if body is None else ("POST", json.dumps(body).encode())
        self.http.request(method, path, body=data, headers={"Content-Type": "application/json"})
        answer = self.http.getresponse()
        text = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"the embedded exchange answered {method} {path} with {text[:300]!r}")
        return json.loads(text)

    def now_ms(self) -> int:
        """The exchange's time, UTC milliseconds."""
        return int(self.sim("/sim/clock")["now"])

    def is_open(self) -> bool:
        """Whether the venue is there in the hour that its clock shows."""
        return bool(self.sim("/sim/clock")["open"])

    def move_to(self, time_ms: int) -> None:
        """Set the exchange's clock forward, unless it is there already."""
        if time_ms > self.now_ms():
            self.sim("/sim/clock", {"to": time_ms})

    def balance(self, asset: str) -> Decimal:
        """All that the account has of an asset."""
        held = self.sim("/sim/balances").get(asset, {"free": "0", "locked": "0"})
        return Decimal(held["free"]) + Decimal(held["locked"])

    def move(self, asset: str, amount: Decimal) -> None:
        """Have an amount come into the account, or go with a minus, now."""
        deposit = {"action": "deposit", "asset": asset, "amount": f"{amount:.8f}"}
        self.sim("/sim/faults", [{"path": "/api/v3/ping", "nth": 1, **deposit}])
        self.http.request("GET", "/api/v3/ping")
        answer = self.http.getresponse()
        answer.read()
        self.sim("/sim/faults", [])
        if answer.status != 200:
            raise RuntimeError(f"a deposit was answered {answer.status}: the venue is shut")
        self.note_move(asset, amount)

    def note_move(self, asset: str, amount: Decimal) -> None:
        """Remember what has come into the account."""
        self.moved[asset] += amount

    def journal(self) -> Journal:
        """The bot's journal, read anew."""
        return Journal(LocalStore(self.store, durable=False), SYMBOL)

    @property
    def store(self) -> Path:
        """The bot's store."""
        return self.processes.folder / "store"


@contextmanager
def world(folder: Path, hours: int, bars: Path | None) -> Iterator[World]:
    """A market of a file or a made one, an exchange over it, and a bot that has begun `HISTORY_HOURS` after its first bar and
    has not ticked yet. Raises ConfigError where the file cannot be read, or is too short."""
    file = bars or folder / f"{SYMBOL}-1h.parquet"
    start = _start(file, hours, made=bars is None, told=folder / "market.json")
    preload()
    served = ["--bars", str(file), "--symbol", SYMBOL]
    with wiring.embedded_exchange(served, PARAMS, start) as ready:
        parts = urlsplit(ready["url"])
        with (
            closing(processes_at(ready, folder)) as processes,
            closing(HTTPConnection(parts.hostname or "", parts.port, timeout=30)) as http,
        ):
            made = World(ready["url"], http, processes, start)
            made.move(BASE, BASE_BESIDE)
            made.move(QUOTE, QUOTE_BESIDE)
            begin(made, PARAMS)
            made.move_to(start)
            gc.freeze()  # children share what is here, and touch none of it
            yield made


def processes_at(ready: dict[str, str], folder: Path) -> Processes:
    """Processes of a bot at an exchange, told what stands here and nothing else."""
    told = {
        "venue": "embedded",
        "venue_url": ready["url"],
        "api_key": ready["api_key"],
        "api_secret": ready["api_secret"],
        "symbol": SYMBOL,
        "store": str(folder / "store"),
        "bars": str(folder / "data"),
        "timeout_s": "0.3",
        "retune_trials": "0",
        "price_band": "0.1",
        "trackers": "none",
    }
    variables = {f"TRADER_{name.upper()}": value for name, value in told.items()}
    environment = {"PATH": os.defpath, **variables}
    return Processes(folder, load_settings(**told), environment, folder / "processes.log")


def begin(made: World, params: Params) -> None:
    """The first training, by its command. Raises RuntimeError where it fails."""
    file = made.processes.folder / "P.json"
    file.write_text(json.dumps(params.as_json()))
    (told,) = made.processes.run(Job(("retrain", "--params", str(file), "--serve-from", iso(made.start))))
    if told.code != 0:
        raise RuntimeError(f"the first training ended with {told.code}: {made.processes.log.read_text()}")


def _start(file: Path, hours: int, *, made: bool, told: Path) -> int:
    """The bot's first hour (UTC ms) on the market of a file, which is written first where it is a made one. Raises ConfigError
    where the file cannot be read, or is too short."""
    # Reading and writing Parquet starts threads, after which this process could fork no more.
    call(lambda: _told_market(file, hours, made=made, told=told))
    found = json.loads(told.read_text())
    if isinstance(found, str):
        raise ConfigError(found)
    first, last = found
    start = int(first) + HISTORY_HOURS * HOUR_MS
    there = (last - start) // HOUR_MS - 24
    if there < hours:
        raise ConfigError(
            f"{file}: has bars for {max(there, 0):,} hours after the {HISTORY_HOURS:,} of history; {hours:,} were asked for: "
            "give fewer hours, or a longer file"
        )
    return start


def _told_market(file: Path, hours: int, *, made: bool, told: Path) -> int:
    """The work of another process: write into `told` the first and the last hour of the market, or why there is none. Returns an
    exit code."""
    try:
        bars = _market(file, hours, made=made)
        told.write_text(json.dumps([int(bars.first), int(bars.last)]))
    except ConfigError as error:
        told.write_text(json.dumps(str(error)))
    return 0


def _market(file: Path, hours: int, *, made: bool) -> Bars:
    """The bars of a file; of the made market, once they are written."""
    if not made:
        return read_bars(file, SYMBOL)
    missing = [HISTORY_HOURS + at + i for at, long in OUTAGES for i in range(long)]
    bars = bars_made(
        HISTORY_HOURS + hours + 48, 1, missing=tuple(n for n in missing if n < HISTORY_HOURS + hours)
    )
    write_bars(file, bars)
    return bars
