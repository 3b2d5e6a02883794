"""What a training of minutes or hours needs beside its bars: where it keeps how far it came, so that one that was killed goes on,
and who is told of its epochs. Both are known by registration; until then nothing is kept, and nobody is told.

A checkpoint is named by the hash of everything that the training follows from, so another training never finds it; and one that
is lost or damaged costs time and changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from trader.core.panel import Panel
from trader.core.params import Params
from trader.core.types import Floats


class Checkpoints(Protocol):
    """Bytes by key, the newest alone."""

    def load(self, key: str) -> bytes | None:
        """What was kept, None where nothing was."""

    def save(self, key: str, data: bytes) -> None:
        """Keep these bytes in place of what was there, whole or not at all."""

    def drop(self, key: str) -> None:
        """Forget them."""


class Nowhere:
    """Keeps nothing: a training that is killed begins anew."""

    def load(self, key: str) -> bytes | None:
        """Never anything."""
        return None

    def save(self, key: str, data: bytes) -> None:
        """Forgotten at once."""

    def drop(self, key: str) -> None:
        """There is nothing to forget."""


@dataclass(frozen=True, slots=True)
class Epoch:
    """One way through every window. number: from 1, of at most `most`. trained, held_back: mean losses, in the family's unit."""

    number: int
    most: int
    trained: float
    held_back: float


@dataclass(frozen=True, slots=True, eq=False)
class Learnt:
    """A training as far as it came. state: from which it goes on. epochs: how many it went through; fewer than it was asked for
    where it ended by its own rule. loss: of its best epoch on hours held back, the less the better, in a unit that trainings on
    other hours and of other parameters share. model: the best epoch's."""

    state: bytes
    epochs: int
    loss: float
    model: bytes


@runtime_checkable
class LearnsInEpochs(Protocol):
    """A forecaster whose fit can be interrupted after an epoch, judged, and gone on with."""

    def most_epochs(self, params: Params) -> int:
        """After how many a fit ends at the latest."""

    def learn(
        self,
        panel: Panel,
        y: Floats,
        params: Params,
        *,
        horizon: int,
        until: int,
        seed: int,
        epochs: int,
        state: bytes = b"",
    ) -> Learnt:
        """Train up to that epoch, from a state of the same training or from the beginning: the result is the same bytes. After
        `most_epochs` the model is what `fit` gives. Raises DataError as `fit`, and for a state that is none."""


_kept: list[Checkpoints] = [Nowhere()]
_listeners: list[Callable[[Epoch], None]] = []


def keep_in(checkpoints: Checkpoints) -> None:
    """Keep the checkpoints of this process there from now on."""
    _kept[0] = checkpoints


def checkpoints() -> Checkpoints:
    """Where they are kept."""
    return _kept[0]


@contextmanager
def heard_by(listener: Callable[[Epoch], None]) -> Iterator[None]:
    """Tell it of every epoch of this process's trainings meanwhile."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


def tell(epoch: Epoch) -> None:
    """Tell whoever listens."""
    for listener in tuple(_listeners):
        listener(epoch)
