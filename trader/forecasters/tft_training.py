"""How the Temporal Fusion Transformer learns: every window of every symbol, the newest part of the span held back to know when to
stop, a checkpoint after each epoch."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from trader.core.errors import ConfigError, DataError
from trader.core.forecast import LEVELS
from trader.core.long_training import Checkpoints, Epoch
from trader.core.model_params import TFTParams
from trader.core.panel import Panel
from trader.core.types import Bools, Ints
from trader.forecasters.tft_layers import Noise
from trader.forecasters.tft_network import Network, pinball
from trader.forecasters.tft_state import UNREADABLE, State, copied, dumped, restored
from trader.forecasters.tft_windows import KNOWN, OBSERVED, Hours, targets_at, windows_at

# The newest share of the span is never learnt from: its loss says which epoch was best.
HELD_BACK = 0.125
# A batch is halved, and each half has a thread: two cores are used, and one core gives the same bytes.
SHARDS = 2
LARGEST_GRADIENT = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class _Sample:
    """Windows by number: symbol (n,), row (n,)."""

    symbol: Ints
    row: Ints

    def chosen(self, which: Ints | Bools) -> _Sample:
        return _Sample(self.symbol[which], self.row[which])

    def __len__(self) -> int:
        return len(self.row)


@dataclass(frozen=True, slots=True, eq=False)
class _Windows:
    """symbol (B,), observed (B, encoder, OBSERVED), known (B, encoder + ahead, KNOWN), target (B, ahead) NaN where it is unknown,
    unit (B, ahead) what a target of 1 is of r."""

    symbol: Tensor
    observed: Tensor
    known: Tensor
    target: Tensor
    unit: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Progress:
    """How far a training came. share: its best epoch's loss on held-back hours, as a share of that of a forecast of no change."""

    state: bytes
    epochs: int
    share: float
    best: dict[str, Tensor]


class Training:
    """One training of one network. key: names its checkpoints. heard: is told of every epoch."""

    def __init__(
        self,
        network: Network,
        panel: Panel,
        params: TFTParams,
        *,
        steps: int,
        until: int,
        seed: int,
        key: str,
        checkpoints: Checkpoints,
        heard: Callable[[Epoch], None] = lambda _: None,
    ) -> None:
        self.params, self.steps, self.seed = params, steps, seed
        self.key, self.checkpoints, self.heard = key, checkpoints, heard
        self.device = _device(params)
        self.hours = [Hours.of(bars) for bars in panel.bars]
        self.last = min(panel.row(until), len(panel) - 1)
        self.symbols = panel.symbols
        torch.set_num_threads(1)
        self.network = network
        self.network.begin(torch.Generator().manual_seed(seed))
        self.network.to(self.device)
        self.levels = torch.tensor(LEVELS, dtype=torch.float32, device=self.device)
        self.weights = list(self.network.parameters())
        self.optimiser = torch.optim.Adam(self.weights, lr=params.learning_rate, foreach=False)

    def run(self) -> dict[str, Tensor]:
        """The weights of the best epoch. Raises DataError where there are too few windows to learn from."""
        state = self._resumed()
        self._go_on(state, self.params.epochs)
        self.checkpoints.drop(self.key)
        return state.best

    def learn(self, epochs: int, before: bytes) -> Progress:
        """Up to that epoch, from the state of an earlier one, or with b"" from the beginning. Raises DataError as `run`, and for
        bytes that are no such state."""
        try:
            state = restored(before, self.network, self.optimiser) if before else State()
        except UNREADABLE as error:
            raise DataError(f"the state of a training cannot be read: {error!r:.120}") from None
        self._go_on(state, min(epochs, self.params.epochs))
        best = state.best_epoch - 1
        return Progress(
            dumped(state, self.network, self.optimiser), len(state.epochs), state.shares[best], state.best
        )

    def _go_on(self, state: State, epochs: int) -> None:
        """Until it is over, or that epoch is learnt."""
        learnt, held_back = self.samples()
        with ThreadPoolExecutor(SHARDS, initializer=torch.set_num_threads, initargs=(1,)) as threads:
            while not self._is_over(state) and len(state.epochs) < epochs:
                number = len(state.epochs) + 1
                trained = self._epoch(threads, learnt, number, state)
                loss, share = self.loss_of(threads, held_back)
                epoch = Epoch(number, self.params.epochs, trained, loss)
                if not math.isfinite(epoch.trained + epoch.held_back):
                    raise DataError(
                        f"{', '.join(self.symbols)}: the network's numbers grew without bound in epoch {number}. Lower "
                        f"model.learning_rate ({self.params.learning_rate:g}), then train again"
                    )
                if not state.best_epoch or epoch.held_back < state.epochs[state.best_epoch - 1].held_back:
                    state.best_epoch, state.best = number, copied(self.network)
                state.epochs.append(epoch)
                state.shares.append(share)
                self.checkpoints.save(self.key, dumped(state, self.network, self.optimiser))
                self.heard(epoch)

    def _is_over(self, state: State) -> bool:
        waited = len(state.epochs) - state.best_epoch
        return len(state.epochs) >= self.params.epochs or (
            bool(state.epochs) and waited >= self.params.patience
        )

    def samples(self) -> tuple[_Sample, _Sample]:
        """The windows to learn from and those held back; between them as many hours as a forecast is long."""
        encoder, found = self.params.encoder_hours, []
        for symbol, hours in enumerate(self.hours):
            rows = np.arange(encoder, self.last, dtype=np.int64)
            usable = windows_at(hours, rows, encoder, 1).scale > 0 if len(rows) else np.zeros(0, bool)
            found.append(_Sample(np.full(int(usable.sum()), symbol), rows[usable]))
        every = _Sample(np.concatenate([it.symbol for it in found]), np.concatenate([it.row for it in found]))
        split = self.last - int((self.last - encoder) * HELD_BACK)
        learnt, held_back = every.chosen(every.row < split - self.steps), every.chosen(every.row >= split)
        silent = [name for name, it in zip(self.symbols, found, strict=True) if not len(it)]
        if silent or not len(learnt) or not len(held_back):
            raise DataError(
                f"{', '.join(silent or self.symbols)}: {len(learnt):,} windows of {encoder} hours to learn from and "
                f"{len(held_back):,} to hold back, in {self.last + 1:,} hours; prices that never move give none. Lengthen "
                "look_back_days, give older bars, or shorten model.encoder_hours"
            )
        return learnt, held_back

    def _epoch(self, threads: ThreadPoolExecutor, learnt: _Sample, number: int, state: State) -> float:
        """Every window once, in an order of the seed's. Returns the mean loss."""
        order = np.random.default_rng([self.seed, number]).permutation(len(learnt))
        total, count = 0.0, 0.0
        for batch in _batches(order, self.params.batch_size):
            noises = [self._noise(state.steps, shard) for shard in range(SHARDS)]
            parts = list(
                threads.map(self._gradients, (learnt.chosen(half) for half in _halves(batch)), noises)
            )
            known = sum(part.count for part in parts)
            if not known:
                continue
            for weight, *gradients in zip(self.weights, *(part.gradients for part in parts), strict=True):
                weight.grad = torch.stack(gradients).sum(0) / known
            torch.nn.utils.clip_grad_norm_(self.weights, LARGEST_GRADIENT, foreach=False)
            self.optimiser.step()
            state.steps += 1
            total, count = total + sum(part.loss for part in parts), count + known
        return total / max(count, 1.0)

    def _noise(self, step: int, shard: int) -> Noise:
        generator = torch.Generator(device=self.device)
        generator.manual_seed((self.seed * 1_000_003 + step) * SHARDS + shard)
        return Noise(self.params.dropout, generator)

    def _gradients(self, sample: _Sample, noise: Noise) -> _Part:
        if not len(sample):
            return _Part(0.0, 0.0, [torch.zeros_like(weight) for weight in self.weights])
        loss, count = self._loss(sample, noise)
        gradients = torch.autograd.grad(loss, self.weights)
        return _Part(float(loss.detach()), count, list(gradients))

    def _loss(self, sample: _Sample, noise: Noise) -> tuple[Tensor, float]:
        """The sum of the loss of all known hours ahead, and how many there are."""
        windows = self._windows(sample)
        there = ~torch.isnan(windows.target)
        return (self._each(windows, noise) * there).sum(), float(there.sum())

    def _each(self, windows: _Windows, noise: Noise) -> Tensor:
        """(B, ahead) the loss of each hour ahead."""
        answer = self.network(windows.symbol, windows.observed, windows.known, noise)
        return pinball(answer.quantiles, torch.nan_to_num(windows.target), self.levels)

    def _windows(self, sample: _Sample) -> _Windows:
        encoder, count = self.params.encoder_hours, len(sample)
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
        return _Windows(*(torch.from_numpy(values).to(self.device) for values in given))

    def loss_of(self, threads: ThreadPoolExecutor, sample: _Sample) -> tuple[float, float]:
        """The mean loss of windows, without dropout; and the loss of r itself as a share of what a forecast of no change would
        lose, which does not depend on how windows are scaled."""

        def part(which: Ints) -> tuple[float, ...]:
            with torch.no_grad():
                windows = self._windows(sample.chosen(which))
                there, target = ~torch.isnan(windows.target), torch.nan_to_num(windows.target)
                each = self._each(windows, Noise()) * there
                unchanged = pinball(torch.zeros_like(target).unsqueeze(-1), target, self.levels)
                sums = (each, there, each * windows.unit, unchanged * windows.unit)
                return tuple(float(it.sum()) for it in sums)

        parts = threads.map(part, _batches(np.arange(len(sample)), self.params.batch_size))
        loss, count, of_r, unchanged = (sum(column) for column in zip(*parts, strict=True))
        return loss / max(count, 1.0), of_r / max(unchanged, 1e-12)

    # --- checkpoints ---------------------------------------------------------------------------------------------------------

    def _resumed(self) -> State:
        """What the checkpoint holds; a new state where there is none, or one that cannot be read."""
        data = self.checkpoints.load(self.key)
        if data is None:
            return State()
        try:
            return restored(data, self.network, self.optimiser)
        except UNREADABLE:
            self.network.begin(torch.Generator().manual_seed(self.seed))
            self.optimiser.state.clear()
            return State()


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    loss: float
    count: float
    gradients: Sequence[Tensor]


def _device(params: TFTParams) -> torch.device:
    if params.device == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            "model.device is cuda, and torch sees no GPU here. Write cpu, or run where there is one: "
            'python -c "import torch; print(torch.cuda.is_available())"'
        )
    return torch.device(params.device)


def _batches(order: Ints, size: int) -> Iterator[Ints]:
    return (order[first : first + size] for first in range(0, len(order), size))


def _halves(batch: Ints) -> list[Ints]:
    return [batch[shard::SHARDS] for shard in range(SHARDS)]
