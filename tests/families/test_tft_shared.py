"""A training that several processes share: which of them computes a shard of a batch changes no byte."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache
from threading import Barrier
from typing import Any

import numpy as np
import pytest
import torch

from tests.families.test_tft import params_for, scene, training
from trader.core.errors import ConfigError
from trader.core.long_training import Epoch, Nowhere
from trader.core.peers import ALONE, Numbers, all_parts, own_parts
from trader.forecasters.tft_training import Training

Weights = dict[str, torch.Tensor]


@dataclass
class Table:
    """Where threads of one process lay what they have."""

    count: int
    given: list[Numbers] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.given = [np.zeros((0, 0))] * self.count
        self.barrier = Barrier(self.count, timeout=100)


@dataclass(frozen=True)
class Seat:
    """One of the threads, as one of the processes."""

    table: Table
    rank: int

    @property
    def count(self) -> int:
        """All of them."""
        return self.table.count

    def gathered(self, mine: Numbers) -> Sequence[Numbers]:
        """What all have laid there."""
        self.table.given[self.rank] = mine.copy()
        self.table.barrier.wait()
        every = list(self.table.given)
        self.table.barrier.wait()
        return every


def shared_by(count: int, work: Callable[[Seat], Any]) -> list[Any]:
    """What each of so many peers ends with."""
    table = Table(count)
    with ThreadPoolExecutor(count) as threads:
        return list(threads.map(work, [Seat(table, rank) for rank in range(count)]))


def test_parts_are_in_the_order_of_their_numbers() -> None:
    """Seven parts of three peers, of which one has a part more: every peer has all seven, each in its place."""

    def work(seat: Seat) -> Numbers:
        mine = np.array([[i, i * i] for i in own_parts(seat, 7)], np.float64)
        return all_parts(seat, mine, 7)

    assert all(every.tolist() == [[float(i), float(i * i)] for i in range(7)] for every in shared_by(3, work))
    assert all_parts(ALONE, np.arange(6.0).reshape(3, 2), 3).tolist() == [[0, 1], [2, 3], [4, 5]]


def of_two_epochs(shards: int) -> Training:
    """With dropout, in nine batches an epoch."""
    found = training(Nowhere(), batch_size=300, shards=shards)
    found.params = found.params.model_copy(update={"epochs": 2})
    return found


@lru_cache
def alone(shards: int) -> tuple[Weights, list[Epoch]]:
    """What one process learns, and its epochs."""
    told: list[Epoch] = []
    one = of_two_epochs(shards)
    one.heard = told.append
    return one.run(), told


@pytest.mark.parametrize("count", [2, 3, 4])
def test_any_number_of_peers_gives_the_weights_and_losses_of_one_process(count: int) -> None:
    """Four shards a batch: every weight of every peer, and the losses of every epoch, to the bit."""
    weights, wanted = alone(4)
    told: list[Epoch] = []

    def work(seat: Seat) -> Weights:
        mine = of_two_epochs(4)
        mine.peers = seat
        if not seat.rank:
            mine.heard = told.append
        return mine.run()

    for each in shared_by(count, work):
        assert all(torch.equal(each[name], weights[name]) for name in weights)
    assert told == wanted


def test_the_number_of_shards_is_part_of_what_is_learnt() -> None:
    """Gradients of other shards are rounded otherwise, and dropout is drawn otherwise: the weights differ."""
    (two, _), (four, _) = alone(2), alone(4)
    assert any(not torch.equal(two[name], four[name]) for name in two)


def other_weights(mine: Training) -> None:
    """As a processor would that rounds otherwise: the gradient is another one from the first batch on."""
    with torch.no_grad():
        mine.weights[0].add_(1e-3)


def other_steps(mine: Training) -> None:
    """The same gradients, other steps."""
    mine.optimiser.param_groups[0]["lr"] *= 1.01


@pytest.mark.parametrize(
    ("change", "when"), [(other_weights, "before they begin"), (other_steps, "after epoch 1")]
)
def test_peers_that_compute_other_numbers_are_told(change: Callable[[Training], None], when: str) -> None:
    """One that differs in its gradients ends the training before it begins, one that differs in its steps after that epoch."""

    def work(seat: Seat) -> str:
        mine = of_two_epochs(2)
        mine.peers = seat
        if seat.rank:
            change(mine)
        with pytest.raises(ConfigError) as raised:
            mine.run()
        return str(raised.value)

    for said in shared_by(2, work):
        assert said.startswith(f"{when}, the 2 workers of this training have other numbers than each other")


def test_parameters_of_before_shards_are_the_same_configuration() -> None:
    """The default is left out of what is written and hashed; another number stands there."""
    assert "shards" not in params_for().as_json()["model"]
    assert params_for(shards=2).identity() == params_for().identity()
    assert params_for(shards=4).as_json()["model"]["shards"] == 4
    assert scene().params.model.model_dump()["shards"] == 2
