"""How far a training of the Temporal Fusion Transformer came, as bytes: safetensors with a head of JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from trader.core.long_training import Epoch
from trader.forecasters.tft_network import Network

# What bytes raise that are no state.
UNREADABLE = (SafetensorError, ValueError, KeyError, TypeError, RuntimeError, IndexError)
_WEIGHTS, _BEST, _FIRST, _SECOND = "weights.", "best.", "first.", "second."


@dataclass(slots=True)
class State:
    """What a checkpoint holds: the weights and the optimiser's moments, the best weights, and how it went. shares: of each epoch,
    the loss on held-back hours as a share of that of a forecast of no change."""

    epochs: list[Epoch] = field(default_factory=list)
    shares: list[float] = field(default_factory=list)
    best: dict[str, Tensor] = field(default_factory=dict)
    best_epoch: int = 0
    steps: int = 0


def dumped(state: State, network: Network, optimiser: torch.optim.Optimizer) -> bytes:
    """The state with the network's weights and the optimiser's moments."""
    tensors = {_WEIGHTS + name: value for name, value in copied(network).items()}
    tensors |= {_BEST + name: value for name, value in state.best.items()}
    for name, weight in network.named_parameters():
        moments = optimiser.state[weight]
        tensors[_FIRST + name] = moments["exp_avg"].cpu().clone()
        tensors[_SECOND + name] = moments["exp_avg_sq"].cpu().clone()
    head = {
        "epochs": [asdict(epoch) for epoch in state.epochs],
        "shares": state.shares,
        "best_epoch": state.best_epoch,
        "steps": state.steps,
    }
    return bytes(save(tensors, {"head": json.dumps(head)}))


def restored(data: bytes, network: Network, optimiser: torch.optim.Optimizer) -> State:
    """The state; network and optimiser are set to go on from it. Raises one of UNREADABLE for other bytes."""
    tensors, head = load(data), json.loads(head_of(data)["head"])
    names = [name for name, _ in network.named_parameters()]
    epochs = [
        Epoch(int(it["number"]), int(it["most"]), float(it["trained"]), float(it["held_back"]))
        for it in head["epochs"]
    ]
    shares = [float(share) for share in head["shares"]]
    best = {name: tensors[_BEST + name] for name in names}
    steps = int(head["steps"])
    moments = [(tensors[_FIRST + name], tensors[_SECOND + name]) for name in names]
    network.load_state_dict({name: tensors[_WEIGHTS + name] for name in names})
    for weight, (first, second) in zip(network.parameters(), moments, strict=True):
        optimiser.state[weight] = {
            "step": torch.tensor(float(steps)),
            "exp_avg": first.to(weight.device),
            "exp_avg_sq": second.to(weight.device),
        }
    return State(epochs, shares, best, int(head["best_epoch"]), steps)


def head_of(data: bytes) -> dict[str, str]:
    """The texts in the head of safetensors' bytes. Raises ValueError for other bytes."""
    size = int.from_bytes(data[:8], "little")
    head = json.loads(data[8 : 8 + size])
    texts = head.get("__metadata__") if isinstance(head, dict) else None
    if not isinstance(texts, dict):
        raise ValueError("it has no head")  # noqa: TRY004  # of bytes, whatever their type
    return texts


def copied(network: Network) -> dict[str, Tensor]:
    """Its weights by name, on the processor."""
    return {name: weight.detach().cpu().clone() for name, weight in network.named_parameters()}
