"""The network beside pytorch-forecasting's: the same weights, the same output."""

from __future__ import annotations

import logging
import warnings
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from trader.forecasters.tft_layers import SPREAD, Gate, Gated, Resample, Selection
from trader.forecasters.tft_network import Attention, Network, Shape

SHAPE = Shape(symbols=5, observed=3, known=2, encoder=30, ahead=12, hidden=16, heads=4, levels=7)
NAMES = tuple(f"v{i}" for i in range(SHAPE.observed + SHAPE.known))


def other_network() -> Any:
    """Theirs, of the same shape. Its weights are its own."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pytorch_forecasting import TemporalFusionTransformer
        from pytorch_forecasting.metrics import QuantileLoss

        network = TemporalFusionTransformer(
            hidden_size=SHAPE.hidden,
            lstm_layers=1,
            dropout=0.0,
            output_size=SHAPE.levels,
            loss=QuantileLoss(),
            attention_head_size=SHAPE.heads,
            max_encoder_length=SHAPE.encoder,
            static_categoricals=["symbol"],
            static_reals=[],
            time_varying_categoricals_encoder=[],
            time_varying_categoricals_decoder=[],
            time_varying_reals_encoder=list(NAMES),
            time_varying_reals_decoder=list(NAMES[SHAPE.observed :]),
            x_reals=list(NAMES),
            x_categoricals=["symbol"],
            hidden_continuous_size=SPREAD,
            embedding_sizes={"symbol": (SHAPE.symbols, SHAPE.hidden)},
            embedding_paddings=[],
            embedding_labels={},
            categorical_groups={},
            causal_attention=True,
        )
    network.transform_output = lambda prediction, target_scale: (
        prediction
    )  # what the output layer says, unscaled
    return network.eval()


def give(theirs: Tensor, ours: Tensor) -> None:
    """Copy weights into theirs."""
    assert theirs.shape == ours.shape, (theirs.shape, ours.shape)
    theirs.data.copy_(ours)


def linear(theirs: nn.Linear, weight: Tensor, bias: Tensor | None = None) -> None:
    """Ours multiplies from the right."""
    give(theirs.weight, weight.T)
    if bias is not None:
        give(theirs.bias, bias.reshape(-1))


def resample(theirs: Any, ours: Resample, group: int | None = None) -> None:
    """A gate a value, and a norm."""
    for mine, name in ((ours.gate, "mask"), (ours.weight, "norm.weight"), (ours.bias, "norm.bias")):
        give(theirs.get_parameter(name), (mine if group is None else mine[group]).reshape(-1))


def gate(glu: Any, norm: nn.LayerNorm, ours: Gate, group: int | None = None) -> None:
    """A gated linear unit and the norm after it."""
    part = [it if group is None else it[group] for it in (ours.unit, ours.unit_bias, ours.weight, ours.bias)]
    linear(glu.fc, part[0], part[1])
    give(norm.weight, part[2].reshape(-1))
    give(norm.bias, part[3].reshape(-1))


def gated(theirs: Any, ours: Gated, group: int | None = None) -> None:
    """A gated residual network, or one of several that ours keeps side by side."""
    if ours.skip is not None:
        resample(theirs.resample_norm, ours.skip, group)
    first, first_bias, second, second_bias = (
        it if group is None else it[group]
        for it in (ours.first, ours.first_bias, ours.second, ours.second_bias)
    )
    linear(theirs.fc1, first, first_bias)
    linear(theirs.fc2, second, second_bias)
    if ours.context is not None:
        linear(theirs.context, ours.context)
    gate(theirs.gate_norm.glu, theirs.gate_norm.add_norm.norm, ours.gate, group)


def selection(theirs: Any, ours: Selection, names: tuple[str, ...]) -> None:
    """The weights of variables, and a network a variable."""
    gated(theirs.flattened_grn, ours.weigh)
    for group, name in enumerate(names):
        gated(theirs.single_variable_grns[name], ours.each, group)


def attention(theirs: Any, ours: Attention) -> None:
    """A layer a head; ours lie side by side."""
    w = ours.width
    for head in range(ours.heads):
        part = slice(head * w, (head + 1) * w)
        linear(theirs.q_layers[head], ours.query[:, part], ours.query_bias[part])
        linear(theirs.k_layers[head], ours.key[:, part], ours.key_bias[part])
    linear(theirs.v_layer, ours.value, ours.value_bias)
    linear(theirs.w_h, ours.out)


def give_all(theirs: Any, ours: Network) -> None:
    """Every weight of ours."""
    give(theirs.input_embeddings["symbol"].weight, ours.symbol)
    resample(theirs.static_variable_selection.single_variable_grns["symbol"], ours.static)
    for i, name in enumerate(NAMES):
        linear(theirs.prescalers[name], ours.spread[i : i + 1], ours.spread_bias[i])
    selection(theirs.encoder_variable_selection, ours.past, NAMES)
    selection(theirs.decoder_variable_selection, ours.future, NAMES[SHAPE.observed :])
    for name, mine in (
        ("static_context_variable_selection", ours.of_selection),
        ("static_context_initial_hidden_lstm", ours.of_hidden),
        ("static_context_initial_cell_lstm", ours.of_cell),
        ("static_context_enrichment", ours.of_enrichment),
        ("static_enrichment", ours.enrich),
        ("pos_wise_ff", ours.feed_forward),
    ):
        gated(getattr(theirs, name), mine)
    theirs.lstm_encoder.load_state_dict(ours.encoder.state_dict())
    theirs.lstm_decoder.load_state_dict(ours.decoder.state_dict())
    gate(theirs.post_lstm_gate_encoder, theirs.post_lstm_add_norm_encoder.norm, ours.after_lstm)
    attention(theirs.multihead_attn, ours.attention)
    for name, after in (
        ("post_attn_gate_norm", ours.after_attention),
        ("pre_output_gate_norm", ours.before_output),
    ):
        gate(getattr(theirs, name).glu, getattr(theirs, name).add_norm.norm, after)
    linear(theirs.output_layer, ours.output, ours.output_bias)


def windows(count: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Any numbers in the network's shapes."""
    symbol = torch.randint(0, SHAPE.symbols, (count,), generator=generator)
    observed = torch.randn(count, SHAPE.encoder, SHAPE.observed, generator=generator)
    known = torch.randn(count, SHAPE.encoder + SHAPE.ahead, SHAPE.known, generator=generator)
    return symbol, observed, known


def asked(symbol: Tensor, observed: Tensor, known: Tensor) -> dict[str, Tensor]:
    """The same windows as theirs takes them."""
    count, total = len(symbol), SHAPE.encoder + SHAPE.ahead
    each = symbol.view(-1, 1, 1).expand(-1, total, 1)
    unknown = torch.zeros(count, SHAPE.ahead, SHAPE.observed)
    cont = torch.cat([torch.cat([observed, unknown], 1), known], 2)
    return {
        "encoder_cat": each[:, : SHAPE.encoder],
        "decoder_cat": each[:, SHAPE.encoder :],
        "encoder_cont": cont[:, : SHAPE.encoder],
        "decoder_cont": cont[:, SHAPE.encoder :],
        "encoder_lengths": torch.full((count,), SHAPE.encoder),
        "decoder_lengths": torch.full((count,), SHAPE.ahead),
        "target_scale": torch.tensor([[0.0, 1.0]]).expand(count, -1),
    }


@pytest.mark.parametrize("seed", [1, 2])
def test_the_same_weights_give_the_same_output(seed: int) -> None:
    """What the output layer says before quantiles are made to rise, the weights of variables and what hours look at: within 1e-5,
    for weights that are drawn at random in every place, gates and norms included."""
    generator = torch.Generator().manual_seed(seed)
    ours = Network(SHAPE)
    with torch.no_grad():
        for weight in ours.parameters():
            weight.normal_(0, 0.4, generator=generator)
    theirs = other_network()
    with torch.no_grad():
        give_all(theirs, ours)
        symbol, observed, known = windows(9, generator)
        middle, past, future, looks = ours.inner(symbol, observed, known, lambda x: x)  # type: ignore[arg-type]  # no dropout
        said = theirs(asked(symbol, observed, known))
    raw = middle @ ours.output + ours.output_bias
    attention_of = torch.cat([said["encoder_attention"], said["decoder_attention"]], -1).mean(2)
    for mine, wanted in (
        (raw, said["prediction"]),
        (past, said["encoder_variables"].squeeze(-2)),
        (future, said["decoder_variables"].squeeze(-2)),
        (looks, attention_of),
    ):
        assert mine.shape == wanted.shape
        assert torch.allclose(mine, wanted, rtol=0, atol=1e-5), float((mine - wanted).abs().max())
    assert float(raw.detach().std()) > 0.05
