"""How the Temporal Fusion Transformer learns: every window of every symbol, the newest part of the span held back to know when to
stop, a checkpoint after each epoch."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
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
from trader.core.peers import ALONE, Peers, all_parts, own_parts
from trader.core.types import Ints
from trader.forecasters.tft_layers import Noise
from trader.forecasters.tft_network import Network, pinball
from trader.forecasters.tft_samples import Sample, Samples, WindowTensors, batches, shards
from trader.forecasters.tft_state import UNREADABLE, State, copied, dumped, restored
from trader.forecasters.tft_windows import Hours

# Of one process: two cores are used, and one core gives the same bytes.
THREADS = 2
LARGEST_GRADIENT = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Progress:
    """How far a training came. share: its best epoch's loss on held-back hours, as a share of that of a forecast of no change."""

    state: bytes
    epochs: int
    share: float
    best: dict[str, Tensor]


class Training:
    """One training of one network. key: names its checkpoints. heard: is told of every epoch. peers: the processes that share
    it; its bytes do not depend on how many they are."""

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
        peers: Peers = ALONE,
    ) -> None:
        self.params, self.seed, self.peers = params, seed, peers
        self.key, self.checkpoints, self.heard = key, checkpoints, heard
        self.device = _device(params)
        self.symbols = panel.symbols
        last = min(panel.row(until), len(panel) - 1)
        hours = [Hours.of(bars) for bars in panel.bars]
        self._samples = Samples(panel.symbols, hours, params.encoder_hours, steps, last)
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
        with ThreadPoolExecutor(THREADS, initializer=torch.set_num_threads, initargs=(1,)) as threads:
            self._require_one_arithmetic(learnt, state.steps)
            while not self._is_over(state) and len(state.epochs) < epochs:
                number = len(state.epochs) + 1
                trained = self._epoch(threads, learnt, number, state)
                self._require_equal(self.weights, f"after epoch {number}")
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
                if not self.peers.rank:
                    self.checkpoints.save(self.key, dumped(state, self.network, self.optimiser))
                self.heard(epoch)

    def _is_over(self, state: State) -> bool:
        waited = len(state.epochs) - state.best_epoch
        return len(state.epochs) >= self.params.epochs or (
            bool(state.epochs) and waited >= self.params.patience
        )

    def samples(self) -> tuple[Sample, Sample]:
        """The windows to learn from and those held back. Raises DataError where there are none."""
        return self._samples.split()

    def _epoch(self, threads: ThreadPoolExecutor, learnt: Sample, number: int, state: State) -> float:
        """Every window once, in an order of the seed's. Returns the mean loss."""
        order = np.random.default_rng([self.seed, number]).permutation(len(learnt))
        total, count = 0.0, 0.0
        for batch in batches(order, self.params.batch_size):
            parts = self._parts(threads, learnt, batch, state.steps)
            known = sum(parts[:, 1].tolist())
            if not known:
                continue
            each = parts[:, 2:].split([weight.numel() for weight in self.weights], dim=1)
            for weight, gradients in zip(self.weights, each, strict=True):
                weight.grad = gradients.reshape(-1, *weight.shape).sum(0) / known
            torch.nn.utils.clip_grad_norm_(self.weights, LARGEST_GRADIENT, foreach=False)
            self.optimiser.step()
            state.steps += 1
            total, count = total + sum(parts[:, 0].tolist()), count + known
        return total / max(count, 1.0)

    def _parts(self, threads: ThreadPoolExecutor, learnt: Sample, batch: Ints, step: int) -> Tensor:
        """(shards, 2 + weights) of each shard of a batch: its loss, how many targets are known, and its gradient. Which process
        computes a shard changes nothing: all of them get every one, in the order of shards, and take the same step."""
        count = self.params.shards
        cut, mine = shards(batch, count), own_parts(self.peers, count)
        noises = [self._noise(step, shard) for shard in mine]
        own = list(threads.map(self._part, (learnt.chosen(cut[shard]) for shard in mine), noises))
        if self.peers.count == 1:
            return torch.stack(own)
        gathered = all_parts(self.peers, torch.stack(own).cpu().numpy(), count)
        return torch.from_numpy(gathered).to(self.device)

    def _noise(self, step: int, shard: int) -> Noise:
        generator = torch.Generator(device=self.device)
        generator.manual_seed((self.seed * 1_000_003 + step) * self.params.shards + shard)
        return Noise(self.params.dropout, generator)

    def _part(self, sample: Sample, noise: Noise) -> Tensor:
        if not len(sample):
            return torch.zeros(2 + sum(weight.numel() for weight in self.weights), device=self.device)
        loss, count = self._loss(sample, noise)
        gradients = torch.autograd.grad(loss, self.weights)
        head = torch.stack([loss.detach(), count.to(loss.dtype)])
        return torch.cat([head, *(gradient.reshape(-1) for gradient in gradients)])

    def _loss(self, sample: Sample, noise: Noise) -> tuple[Tensor, Tensor]:
        """The sum of the loss of all known hours ahead, and how many there are."""
        windows = self._samples.tensors(sample, self.device)
        there = ~torch.isnan(windows.target)
        return (self._each(windows, noise) * there).sum(), there.sum()

    def _each(self, windows: WindowTensors, noise: Noise) -> Tensor:
        """(B, ahead) the loss of each hour ahead."""
        answer = self.network(windows.symbol, windows.observed, windows.known, noise)
        return pinball(answer.quantiles, torch.nan_to_num(windows.target), self.levels)

    def loss_of(self, threads: ThreadPoolExecutor, sample: Sample) -> tuple[float, float]:
        """The mean loss of windows, without dropout; and the loss of r itself as a share of what a forecast of no change would
        lose, which does not depend on how windows are scaled."""

        def part(which: Ints) -> tuple[float, ...]:
            with torch.no_grad():
                windows = self._samples.tensors(sample.chosen(which), self.device)
                there, target = ~torch.isnan(windows.target), torch.nan_to_num(windows.target)
                each = self._each(windows, Noise()) * there
                unchanged = pinball(torch.zeros_like(target).unsqueeze(-1), target, self.levels)
                sums = (each, there, each * windows.unit, unchanged * windows.unit)
                return tuple(float(it.sum()) for it in sums)

        cut = list(batches(np.arange(len(sample)), self.params.batch_size))
        own = [cut[i] for i in own_parts(self.peers, len(cut))]
        mine = np.array(list(threads.map(part, own)), np.float64).reshape(-1, 4)
        parts = all_parts(self.peers, mine, len(cut))
        loss, count, of_r, unchanged = (sum(column.tolist()) for column in parts.T)
        return loss / max(count, 1.0), of_r / max(unchanged, 1e-12)

    def _require_one_arithmetic(self, learnt: Sample, step: int) -> None:
        """Raises ConfigError where the processes that share this training do not compute equal gradients of one shard."""
        if self.peers.count > 1:
            first = learnt.chosen(slice(0, self.params.batch_size, self.params.shards))
            self._require_equal([self._part(first, self._noise(step, 0))], "before they begin")

    def _require_equal(self, mine: list[Tensor], when: str) -> None:
        if self.peers.count == 1:
            return
        digest = zlib.crc32(b"".join(it.detach().cpu().numpy().tobytes() for it in mine))
        if len({float(it[0, 0]) for it in self.peers.gathered(np.array([[digest]], np.float64))}) > 1:
            raise ConfigError(
                f"{when}, the {self.peers.count} workers of this training have other numbers than each other: their processors "
                "or libraries round otherwise. Let nodes of one kind share a training, or leave --train-workers out"
            )

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


def _device(params: TFTParams) -> torch.device:
    if params.device == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            "model.device is cuda, and torch sees no GPU here. Write cpu, or run where there is one: "
            'python -c "import torch; print(torch.cuda.is_available())"'
        )
    return torch.device(params.device)
