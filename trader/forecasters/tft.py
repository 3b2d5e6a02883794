"""One Temporal Fusion Transformer over all symbols: hours in, the distribution of every hour ahead out, in one pass.

torch is imported when it is used. The bytes of a model are safetensors with a head of JSON.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from trader.core.errors import DataError
from trader.core.forecast import Traits
from trader.core.labels import hurdle_of
from trader.core.long_training import Checkpoints, Learnt, Nowhere, checkpoints, tell
from trader.core.model_params import LONGEST_ENCODER_HOURS, TFTParams
from trader.core.panel import Panel
from trader.core.params import Params
from trader.core.peers import peers
from trader.core.types import Floats, Ints, Matrix
from trader.core.weights import Weights
from trader.forecasters.refusal import InvalidModel, not_a_model
from trader.forecasters.tft_export import ExportsNetwork
from trader.forecasters.tft_head import SCHEMA, Head, WindowPredictor, read_head, written
from trader.forecasters.tft_windows import KNOWN, OBSERVED

if TYPE_CHECKING:
    from torch import Tensor

    from trader.forecasters.tft_network import Answer, Network
    from trader.forecasters.tft_training import Training

FAMILY, KIND = "tft", "a Temporal Fusion Transformer"
MOST_BYTES = 1 << 28


class TFTPredictor(WindowPredictor):
    """A network with its weights, on the processor: it is never changed."""

    def __init__(self, head: Head, network: Network) -> None:
        super().__init__(head)
        self.network = network

    def raw(self, symbol: int, observed: Matrix, known: Matrix) -> Matrix:
        """See `trader.forecasters.tft_head.WindowPredictor`."""
        found: Matrix = self._answer(symbol, observed, known).quantiles.numpy()
        return found

    def weights(self, panel: Panel, hours: Ints) -> Weights:
        """What the forecasts of these hours looked at, their mean. Raises DataError where nothing can be said of any of them."""
        windows = self.windows(panel, hours)
        said, symbol = np.flatnonzero(windows.scale > 0), self.head.symbols.index(panel.symbols[0])
        if not len(said):
            raise DataError(
                f"{panel.symbols[0]}: nothing can be said of these hours, so nothing was looked at"
            )
        answers = [
            self._answer(symbol, windows.observed[i : i + 1], windows.known[i : i + 1]) for i in said.tolist()
        ]
        past = np.mean([it.past.mean(dim=(0, 1)).numpy() for it in answers], axis=0)
        future = np.mean([it.future.mean(dim=(0, 1)).numpy() for it in answers], axis=0)
        attention = np.mean([it.attention.mean(dim=(0, 1)).numpy() for it in answers], axis=0)
        return Weights(
            dict(zip((*OBSERVED, *KNOWN), past.tolist(), strict=True)),
            dict(zip(KNOWN, future.tolist(), strict=True)),
            attention.astype(np.float64),
            self.head.encoder_hours,
        )

    def _answer(self, symbol: int, observed: Matrix, known: Matrix) -> Answer:
        import torch

        with torch.no_grad():
            answer: Answer = self.network(
                torch.full((len(observed),), symbol),
                torch.from_numpy(np.ascontiguousarray(observed)),
                torch.from_numpy(np.ascontiguousarray(known)),
            )
        return answer


class TFTForecaster(ExportsNetwork):
    """A fit uses two threads, each with its shards of every batch, and gives the same bytes on one core, or shared by several
    processes (`trader.core.peers`)."""

    family = FAMILY
    format = "safetensors"
    libraries: Sequence[str] = ("torch", "numpy")
    # What else decides what a fit gives, beside this file.
    source_modules: Sequence[str] = tuple(
        f"trader.forecasters.{name}"
        for name in (
            "tft_head",
            "tft_layers",
            "tft_network",
            "tft_samples",
            "tft_state",
            "tft_windows",
            "tft_training",
        )
    )
    traits = Traits("global", "series", LONGEST_ENCODER_HOURS + 1, "none", weighs=True)

    def fit(self, panel: Panel, y: Floats, params: Params, *, horizon: int, until: int, seed: int) -> bytes:
        """See `trader.core.ports.Forecaster`. It learns the distribution, so labels change nothing."""
        head = _head_for(panel, params, horizon)
        weights = _training(head, panel, params, until, seed, checkpoints()).run()
        return _model(head, weights)

    def most_epochs(self, params: Params) -> int:
        """See `trader.core.long_training.LearnsInEpochs`."""
        return _told(params).epochs

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
        """See `trader.core.long_training.LearnsInEpochs`. Losses are shares of that of a forecast of no change."""
        head = _head_for(panel, params, horizon)
        found = _training(head, panel, params, until, seed, Nowhere()).learn(epochs, state)
        return Learnt(found.state, found.epochs, found.share, _model(head, found.best))

    def load(self, model: bytes, source: str) -> TFTPredictor:
        """Raises DataError, naming `source`, for bytes that are not such a model."""
        try:
            return _read(model)
        except InvalidModel as error:
            raise not_a_model(source, KIND, model, error) from None
        except (ValueError, TypeError, RecursionError) as error:
            raise not_a_model(source, KIND, model, repr(error)[:120]) from None


def _told(params: Params) -> TFTParams:
    if not isinstance(params.model, TFTParams):
        raise TypeError(f"parameters of {params.model.family} were given to {FAMILY}")
    return params.model


def _head_for(panel: Panel, params: Params, horizon: int) -> Head:
    told = _told(params)
    return Head(
        panel.symbols,
        told.encoder_hours,
        params.forecast_hours,
        told.hidden_size,
        told.attention_heads,
        horizon,
        hurdle_of(params),
    )


def _training(head: Head, panel: Panel, params: Params, until: int, seed: int, kept: Checkpoints) -> Training:
    from trader.forecasters.tft_training import Training

    told = _told(params)
    return Training(
        head.network(),
        panel,
        told,
        steps=head.forecast_hours,
        until=until,
        seed=seed,
        key=_key(panel, told, head.forecast_hours, until, seed),
        checkpoints=kept,
        heard=tell,
        peers=peers(),
    )


def _model(head: Head, weights: dict[str, Tensor]) -> bytes:
    """Safetensors with a head of JSON."""
    from safetensors.torch import save

    return bytes(save(weights, {"head": written(head)}))


def _key(panel: Panel, told: TFTParams, steps: int, until: int, seed: int) -> str:
    """The hash of all that a training follows from."""
    import torch

    digest = hashlib.sha256(
        f"{SCHEMA} {torch.__version__} {told.model_dump_json()} {steps} {until} {seed}".encode()
    )
    for bars in panel.bars:
        digest.update(bars.symbol.encode())
        for column in (bars.close_time, bars.close, bars.high, bars.low, bars.volume, bars.flagged):
            digest.update(np.ascontiguousarray(column).tobytes())
    return digest.hexdigest()[:32]


def _read(model: bytes) -> TFTPredictor:
    """The model of these bytes. Raises InvalidModel, ValueError, TypeError or RecursionError for others."""
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load

    from trader.forecasters.tft_state import head_of

    if len(model) > MOST_BYTES:
        raise InvalidModel(f"more than {MOST_BYTES:,} bytes")
    try:
        tensors = load(model)
    except SafetensorError as error:
        raise InvalidModel(str(error)[:120]) from None
    head = read_head(head_of(model).get("head", "null"))
    torch.set_num_threads(1)
    network = head.network()
    wanted = dict(network.named_parameters())
    if tensors.keys() != wanted.keys():
        raise InvalidModel("its weights are not those of such a network")
    for name, weight in wanted.items():
        there = tensors[name]
        if there.shape != weight.shape or there.dtype != torch.float32 or not torch.isfinite(there).all():
            raise InvalidModel(f"{name} has another shape, or is not finite")
    network.load_state_dict(tensors)
    network.requires_grad_(requires_grad=False)
    return TFTPredictor(head, network)
