"""Processes that share one fit: each computes some of its parts, all of them get every part, in one order.

What a part is must not depend on how many processes there are; then the fit's bytes do not either. Who the others are is
known by registration, as checkpoints are (long_training.py); until then a process is alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[Any]


class Peers(Protocol):
    """The processes of a fit, this one among them. rank: which one this is, from 0. count: how many there are."""

    @property
    def rank(self) -> int:
        """From 0."""

    @property
    def count(self) -> int:
        """With this one."""

    def gathered(self, mine: Numbers) -> Sequence[Numbers]:
        """What every process gave, in the order of ranks: numbers of one shape and type. All of them call this equally often.
        Raises RuntimeError where one of them is no more."""


class Alone:
    """One process, which computes every part."""

    rank, count = 0, 1

    def gathered(self, mine: Numbers) -> Sequence[Numbers]:
        """Its own."""
        return [mine]


ALONE = Alone()


def own_parts(peers: Peers, total: int) -> range:
    """Numbers of the parts that this process computes, of `total`."""
    return range(peers.rank, total, peers.count)


def all_parts(peers: Peers, mine: Numbers, total: int) -> Numbers:
    """(total, n) the parts of all processes by their numbers. mine: (m, n) this one's, in the order of `own_parts`."""
    own = np.zeros((-(-total // peers.count), mine.shape[1]), mine.dtype)
    own[: len(mine)] = mine
    every = peers.gathered(own)
    return np.stack([every[i % peers.count][i // peers.count] for i in range(total)])


_peers: list[Peers] = [ALONE]


def peers() -> Peers:
    """Who shares the fits of this process."""
    return _peers[-1]


@contextmanager
def shared_with(others: Peers) -> Iterator[None]:
    """The fits of this process are shared with these meanwhile."""
    _peers.append(others)
    try:
        yield
    finally:
        _peers.pop()
