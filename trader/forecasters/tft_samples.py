"""What the Temporal Fusion Transformer learns from: windows of every symbol by number, and the tensors of some of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from trader.core.errors import DataError
from trader.core.types import Bools, Ints
from trader.forecasters.tft_windows import KNOWN, OBSERVED, Hours, targets_at, windows_at

# The newest share of the span is never learnt from: its loss says which epoch was best.
HELD_BACK = 0.125


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """Windows by number: symbol (n,), row (n,)."""

    symbol: Ints
    row: Ints

    def chosen(self, which: Ints | Bools | slice) -> Sample:
        """Some of them, in that order."""
        return Sample(self.symbol[which], self.row[which])

    def __len__(self) -> int:
        return len(self.row)


@dataclass(frozen=True, slots=True, eq=False)
class WindowTensors:
    """symbol (B,), observed (B, encoder, OBSERVED), known (B, encoder + ahead, KNOWN), target (B, ahead) NaN where it is unknown,
    unit (B, ahead) what a target of 1 is of r."""

    symbol: Tensor
    observed: Tensor
    known: Tensor
    target: Tensor
    unit: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """hours: of each symbol. encoder: hours that a window reads. steps: hours ahead. last: the last row that may be known."""

    symbols: tuple[str, ...]
    hours: list[Hours]
    encoder: int
    steps: int
    last: int

    def split(self) -> tuple[Sample, Sample]:
        """The windows to learn from and those held back; between them as many hours as a forecast is long. Raises DataError
        where there are none."""
        found = []
        for symbol, hours in enumerate(self.hours):
            rows = np.arange(self.encoder, self.last, dtype=np.int64)
            usable = windows_at(hours, rows, self.encoder, 1).scale > 0 if len(rows) else np.zeros(0, bool)
            found.append(Sample(np.full(int(usable.sum()), symbol), rows[usable]))
        every = Sample(np.concatenate([it.symbol for it in found]), np.concatenate([it.row for it in found]))
        split = self.last - int((self.last - self.encoder) * HELD_BACK)
        learnt, held_back = every.chosen(every.row < split - self.steps), every.chosen(every.row >= split)
        silent = [name for name, it in zip(self.symbols, found, strict=True) if not len(it)]
        if silent or not len(learnt) or not len(held_back):
            raise DataError(
                f"{', '.join(silent or self.symbols)}: {len(learnt):,} windows of {self.encoder} hours to learn from and "
                f"{len(held_back):,} to hold back, in {self.last + 1:,} hours; prices that never move give none. Lengthen "
                "look_back_days, give older bars, or shorten model.encoder_hours"
            )
        return learnt, held_back

    def tensors(self, sample: Sample, device: torch.device) -> WindowTensors:
        """What the network reads of these windows, and what it is to say."""
        encoder, count = self.encoder, len(sample)
        observed = np.empty((count, encoder, len(OBSERVED)), np.float32)
        known = np.empty((count, encoder + self.steps, len(KNOWN)), np.float32)
        target, unit = (np.empty((count, self.steps), np.float32) for _ in range(2))
        steps = np.sqrt(np.arange(1, self.steps + 1))
        for symbol in np.unique(sample.symbol).tolist():
            at = np.flatnonzero(sample.symbol == symbol)
            hours, rows = self.hours[symbol], sample.row[at]
            windows = windows_at(hours, rows, encoder, self.steps)
            observed[at], known[at] = windows.observed, windows.known
            target[at] = targets_at(hours, rows, self.steps, self.last, windows.scale)
            unit[at] = windows.scale[:, None] * steps
        given = (sample.symbol, observed, known, target, unit)
        return WindowTensors(*(torch.from_numpy(values).to(device) for values in given))


def batches(order: Ints, size: int) -> Iterator[Ints]:
    """An order cut into batches, the last one shorter."""
    return (order[first : first + size] for first in range(0, len(order), size))


def shards(batch: Ints, count: int) -> list[Ints]:
    """A batch cut into `count` parts, whatever the machine is; some are empty where it is shorter."""
    return [batch[shard::count] for shard in range(count)]
