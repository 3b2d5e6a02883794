"""A training that workers of Ray share: what each of them runs, and the actor that keeps what would be lost with them."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from backtest.executors.packing import computed, unpacked
from backtest.executors.program import program_hash
from backtest.executors.ray_worker import told_program
from trader.core.long_training import Epoch, heard_by, keep_in
from trader.core.peers import Numbers, shared_with


class Keeper:
    """An actor beside the one who asked for the training: what it is of, and how far it came. It outlives workers."""

    def __init__(self, shared: bytes, task: bytes, state: bytes) -> None:
        self._shared, self._task, self._state = shared, task, state
        self._epochs: list[dict[str, Any]] = []
        self._begun, self._other = 0, b""

    def given(self) -> tuple[bytes, bytes, bytes]:
        """The packed arrays that the task shares, the packed task, and the newest state, b"" before the first."""
        return self._shared, self._task, self._state

    def begins(self) -> None:
        """The first worker of a group has begun."""
        self._begun += 1

    def keep(self, state: bytes, epoch: dict[str, Any]) -> None:
        """An epoch has been learnt."""
        self._state = state
        self._epochs.append(epoch)

    def refuse(self, told: bytes) -> None:
        """A worker's program is another one."""
        self._other = told

    def news(self, heard: int) -> tuple[int, bytes, list[dict[str, Any]], bytes]:
        """How many groups have begun; what a worker with another program said; the epochs after so many, and their state."""
        fresh = self._epochs[heard:]
        return self._begun, self._other, fresh, self._state if fresh else b""


class GlooPeers:
    """The processes of torch's own group, over gloo. lost: one of them is no more."""

    def __init__(self) -> None:
        from torch import distributed

        self.rank, self.count = distributed.get_rank(), distributed.get_world_size()
        self.lost = False

    def gathered(self, mine: Numbers) -> list[Numbers]:
        """See `trader.core.peers.Peers`."""
        import torch
        from torch import distributed

        own = torch.from_numpy(np.ascontiguousarray(mine))
        every = [torch.empty_like(own) for _ in range(self.count)]
        try:
            distributed.all_gather(every, own)
        except RuntimeError:
            self.lost = True
            raise
        return [it.numpy() for it in every]


class _Kept:
    """The checkpoint of this training, in the keeper: whatever key a family gives it, there is one."""

    def __init__(self, state: bytes) -> None:
        self.state = state

    def load(self, key: str) -> bytes | None:
        """What this group of workers goes on from."""
        return self.state or None

    def save(self, key: str, data: bytes) -> None:
        """Told with its epoch, which follows."""
        self.state = data

    def drop(self, key: str) -> None:
        """The keeper ends with the training."""


class ComeApart(RuntimeError):
    """This worker cannot go on, and what it has done is no answer."""


def part(how: dict[str, Any]) -> bytes:
    """What Ray Train runs in each worker. how: the program's hash, and the keeper. Returns the packed answer. Raises ComeApart
    where another worker is lost; Ray then begins anew with all of them, from the newest state."""
    import ray
    from ray import train

    keeper = how["keeper"]
    if program_hash() != how["program"]:
        ray.get(keeper.refuse.remote(told_program()))
        raise ComeApart("another program")
    peers = GlooPeers()
    shared, task, state = ray.get(keeper.given.remote())
    if not peers.rank:
        ray.get(keeper.begins.remote())
    kept = _Kept(state)
    keep_in(kept)

    def heard(epoch: Epoch) -> None:
        if not peers.rank:
            ray.get(keeper.keep.remote(kept.state, asdict(epoch)))
        train.report({"epoch": epoch.number, "trained": epoch.trained, "held_back": epoch.held_back})

    arrays = unpacked(shared)[1]
    with shared_with(peers), heard_by(heard):
        answer = computed(task, lambda _: arrays)
    if peers.lost:
        raise ComeApart("another worker was lost")
    return answer
