"""Fits that workers of Ray share, against a fake of the process that speaks with Ray; tests/families has a real one."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest

from backtest.engine.shared_fit import SharedForecaster, fit_model
from backtest.executors.packing import computed, unpacked
from backtest.executors.program import program
from backtest.executors.protocol import Task
from backtest.executors.ray_broker_process import BrokerProcess
from backtest.executors.ray_messages import Messages
from backtest.executors.ray_train_worker import Keeper
from backtest.executors.ray_training import RayTraining
from tests.contracts.executor_contract import product
from tests.contracts.test_ray_cluster import FakeBroker
from tests.support.bars_made import bars_made
from trader.commands.shared_fits import sharing
from trader.core.errors import ConfigError, Retry
from trader.core.long_training import Epoch, Nowhere, heard_by, keep_in
from trader.core.panel import Panel
from trader.core.params import DEFAULT_PARAMS, Params, params_of
from trader.forecasters.contract_scene import SERVED_HOURS, SOURCE, scene_of
from trader.forecasters.naive import NaiveForecaster

if TYPE_CHECKING:
    from trader.app.bot import Bot

EPOCHS = tuple(Epoch(number, 3, 0.5 / number, 0.6 / number) for number in (1, 2, 3))
Script = Callable[["Trains", dict[str, Any], bytes], None]


class Trains(FakeBroker):
    """Answers a training as a script says."""

    def __init__(self, script: Script, capacity: int = 2) -> None:
        self.script = script
        super().__init__(capacity)

    @property
    def there(self) -> Messages:
        """Ray's end."""
        return self._there

    def _serve(self) -> None:
        try:
            while True:
                head, body = self._there.receive()
                self.told.append(head["kind"])
                self.script(self, head, body)
        except (EOFError, OSError):
            return


class Kept:
    """Checkpoints in memory."""

    def __init__(self) -> None:
        self.states: dict[str, bytes] = {}

    def load(self, key: str) -> bytes | None:
        """What was kept."""
        return self.states.get(key)

    def save(self, key: str, data: bytes) -> None:
        """In its place."""
        self.states[key] = data

    def drop(self, key: str) -> None:
        """Forgotten."""
        self.states.pop(key, None)


@pytest.fixture
def kept() -> Iterator[Kept]:
    """Where this process keeps checkpoints meanwhile."""
    mine = Kept()
    keep_in(mine)
    yield mine
    keep_in(Nowhere())


class Ran:
    """One training against a script, what was said and what was heard."""

    def __init__(self, script: Script, capacity: int = 2) -> None:
        self.broker, self.said, self.heard = Trains(script, capacity), list[str](), list[Epoch]()

    def of(self, task: Task) -> bytes:
        """Its result."""
        training = RayTraining(cast("BrokerProcess", self.broker), 2, self.said.append)
        try:
            with heard_by(self.heard.append):
                return training(task)
        finally:
            self.broker.end()


def answered(head: dict[str, Any], body: bytes) -> bytes:
    """What workers make of a training that was given out."""
    assert head["workers"] == 2
    given = {name: array.tobytes() for name, array in unpacked(body)[1].items()}
    return computed(given["task"], lambda _: unpacked(given["shared"])[1])


def learnt(broker: Trains, *epochs: Epoch) -> None:
    """These epochs, the newest with its state."""
    for epoch in epochs:
        broker.there.send("epoch", b"state %d" % epoch.number, **asdict(epoch))


def test_epochs_are_told_and_the_result_is_the_tasks_own(kept: Kept) -> None:
    """A worker is lost after the first epoch, which is said; at the end no checkpoint is left."""

    def script(broker: Trains, head: dict[str, Any], body: bytes) -> None:
        learnt(broker, EPOCHS[0])
        broker.there.send("again", after=1)
        learnt(broker, *EPOCHS[1:])
        broker.there.send("answer", answered(head, body))

    ran, task = Ran(script), product(3)
    assert ran.of(task) == task.result()
    assert tuple(ran.heard) == EPOCHS
    assert ran.said == ["a worker of Ray was lost; the training goes on after epoch 1"]
    assert kept.states == {}


@pytest.mark.parametrize("end", ["lost", "hung up"])
def test_what_was_learnt_is_kept_when_ray_is_lost(kept: Kept, end: str) -> None:
    """Retry; the same training then begins with the newest state, whoever lost it."""
    given: list[bytes] = []

    def script(broker: Trains, head: dict[str, Any], body: bytes) -> None:
        given.append(unpacked(body)[1]["state"].tobytes())
        if given[-1]:
            broker.there.send("answer", answered(head, body))
            return
        learnt(broker, *EPOCHS[:2])
        if end == "lost":
            broker.there.send("lost", b"WorkerGroupError: rank 1")
        else:
            broker.die()

    task = product(3)
    with pytest.raises(Retry, match="the same command goes on"):
        Ran(script).of(task)
    assert list(kept.states.values()) == [b"state 2"]
    assert Ran(script).of(task) == task.result()
    assert given == [b"", b"state 2"]
    assert kept.states == {}


def test_a_worker_with_another_program_is_named(kept: Kept) -> None:
    """What differs, and where: a person must act."""
    told = {"node": "far (10.0.0.2)", "program": {**program(), "torch": "1.0"}}

    def script(broker: Trains, head: dict[str, Any], body: bytes) -> None:
        broker.there.send("refused", json.dumps(told).encode())

    with pytest.raises(ConfigError, match=r"node far \(10.0.0.2\) .*torch: \S+ here, 1.0 there"):
        Ran(script).of(product(3))


def test_a_cluster_without_a_cpu_for_each_worker_is_told_before_it_waits(kept: Kept) -> None:
    """Ray would wait for the second one without end."""
    ran = Ran(lambda *_: None, capacity=1)
    with pytest.raises(ConfigError, match="the Ray cluster has 1 CPU, and each worker takes one"):
        ran.of(product(3))
    assert ran.broker.told == []


def test_the_keeper_gives_each_epoch_once_and_the_newest_state() -> None:
    """Also to workers that begin anew; what one with another program said comes with the news."""
    keeper = Keeper(b"shared", b"task", b"")
    assert keeper.given() == (b"shared", b"task", b"")
    keeper.begins()
    for epoch in EPOCHS[:2]:
        keeper.keep(b"state %d" % epoch.number, asdict(epoch))
    assert keeper.news(0) == (1, b"", [asdict(it) for it in EPOCHS[:2]], b"state 2")
    keeper.begins()
    assert keeper.given()[2] == b"state 2"
    keeper.refuse(b"another")
    assert keeper.news(2) == (2, b"another", [], b"")


# --- forecasters -------------------------------------------------------------------------------------------------------------


def tft(**model: Any) -> Params:
    """Parameters of the one family whose fits are shared."""
    return params_of({**DEFAULT_PARAMS, "model": {"family": "tft", **model}}, "the test")


def nowhere(task: Task) -> bytes:
    """For fits that shall not come so far."""
    raise AssertionError(task)


def test_a_task_holds_the_whole_fit() -> None:
    """Bars and labels travel: the task's result, by the parameters of a family that needs no library, is that family's own."""
    scene = scene_of(NaiveForecaster())
    panel, y = scene.training(scene.window.train_until)
    given: list[Task] = []

    def trains(task: Task) -> bytes:
        given.append(task)
        return b"model"

    shared = SharedForecaster(scene.forecaster, 2, trains)
    assert (shared.family, shared.format) == ("naive", NaiveForecaster.format)
    assert shared.fit(panel, y, tft(), horizon=1, until=scene.window.train_until, seed=7) == b"model"
    (task,) = given
    own = {**task.settings, "params": scene.params.model_dump_json()}
    assert Task(fit_model, own, task.shared).result() == scene.fit(panel, y)
    assert shared.load(scene.model, SOURCE).predict(*scene.served()).p_up.shape == (SERVED_HOURS,)


@pytest.mark.parametrize(
    ("params", "workers", "message"),
    [
        (params_of(DEFAULT_PARAMS, "the test"), 2, "a fit of xgboost is the work of one process"),
        (tft(shards=1), 2, "a fit of tft is the work of one process"),
        (tft(), 3, "a batch of this fit has 2 shards, for 2 workers at most"),
        (tft(device="cuda"), 2, "workers share a fit on processors, and model.device is cuda"),
    ],
)
def test_a_fit_that_cannot_be_shared_is_told_before_ray_starts(
    params: Params, workers: int, message: str
) -> None:
    """With the number that was asked for, and the way out."""
    shared = SharedForecaster(NaiveForecaster(), workers, nowhere)
    bars = bars_made(48, 3)
    with pytest.raises(ConfigError, match=f"--train-workers {workers}: {message}"):
        shared.fit(Panel.of([bars]), np.zeros((1, 48)), params, horizon=1, until=bars.last, seed=7)


def test_four_shards_are_for_four_workers() -> None:
    """The key of `P.json` that a message names."""
    shared = SharedForecaster(NaiveForecaster(), 4, lambda task: b"model")
    bars = bars_made(48, 3)
    panel, y = Panel.of([bars]), np.zeros((1, 48))
    assert shared.fit(panel, y, tft(shards=4), horizon=1, until=bars.last, seed=7) == b"model"


def test_options_of_ray_without_workers_are_refused() -> None:
    """`trader retrain --ray-address` alone would train here, and nobody would know."""
    bot = cast("Bot", None)
    assert sharing(bot, 1, None, ray_open_ports=False) is bot
    for address, ports in (("10.0.0.1", False), (None, True)):
        with pytest.raises(ConfigError, match="are of --train-workers: give it 2 or more"):
            sharing(bot, 1, address, ray_open_ports=ports)
