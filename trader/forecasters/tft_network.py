"""The Temporal Fusion Transformer (Lim, Arik, Loeff and Pfister, 2021, arXiv 1912.09363) in torch, for windows of one length.

As pytorch-forecasting writes it, so that a test can give both the same weights: the skip of a layer whose output is wider or
narrower than its input is a linear interpolation, and an embedding passes the selection of variables by a norm alone. What
differs: the variables of a step are computed together, not one after the other; every window has the same length, so nothing is
padded; the quantiles cannot cross. Dropout draws from a generator that the caller seeds, never from the process's own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  # its own name

from trader.forecasters.tft_layers import QUIET, SPREAD, Gate, Gated, Noise, Resample, Selection


@dataclass(frozen=True, slots=True)
class Shape:
    """symbols: how many the fit sees. observed: numbers an hour that are known up to T only; known: those that are known of
    every hour. encoder, ahead: hours before and after T. levels: quantiles of an hour ahead."""

    symbols: int
    observed: int
    known: int
    encoder: int
    ahead: int
    hidden: int
    heads: int
    levels: int


@dataclass(frozen=True, slots=True)
class Answer:
    """quantiles: (B, ahead, levels) in units of the window's own scale. past, future: (B, hours, variables) what each variable
    weighs. attention: (B, ahead, hours) what each hour ahead looks at, the mean of all heads."""

    quantiles: Tensor
    past: Tensor
    future: Tensor
    attention: Tensor


class Attention(nn.Module):
    """Several heads look at the hours, each in its own way, at values that they share (interpretable multi-head attention)."""

    def __init__(self, hidden: int, heads: int) -> None:
        super().__init__()
        self.heads, self.width = heads, hidden // heads
        self.query = nn.Parameter(torch.empty(hidden, heads * self.width))
        self.query_bias = nn.Parameter(torch.zeros(heads * self.width))
        self.key = nn.Parameter(torch.empty(hidden, heads * self.width))
        self.key_bias = nn.Parameter(torch.zeros(heads * self.width))
        self.value = nn.Parameter(torch.empty(hidden, self.width))
        self.value_bias = nn.Parameter(torch.zeros(self.width))
        self.out = nn.Parameter(torch.empty(self.width, hidden))

    def forward(self, asked: Tensor, hours: Tensor, hidden: Tensor, noise: Noise) -> tuple[Tensor, Tensor]:
        """asked (B, ahead, hidden), hours (B, all, hidden), hidden (ahead, all) what may not be looked at."""
        count, ahead = asked.shape[0], asked.shape[1]
        q = (asked @ self.query + self.query_bias).view(count, ahead, self.heads, self.width)
        k = (hours @ self.key + self.key_bias).view(count, -1, self.heads, self.width)
        v = hours @ self.value + self.value_bias
        score = q.transpose(1, 2) @ k.permute(0, 2, 3, 1) / math.sqrt(self.width)
        looks = torch.softmax(score.masked_fill(hidden, -1e9), dim=-1)
        heads = noise(looks @ v.unsqueeze(1))
        return noise(heads.mean(dim=1) @ self.out), looks.mean(dim=1)


class Network(nn.Module):
    """Windows of hours -> quantiles of every hour ahead, in one pass."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        n = shape.hidden
        self.shape = shape
        self.symbol = nn.Parameter(torch.empty(shape.symbols, n))
        self.static = Resample(n, n)
        variables = shape.observed + shape.known
        self.spread = nn.Parameter(torch.empty(variables, SPREAD))
        self.spread_bias = nn.Parameter(torch.zeros(variables, SPREAD))
        self.past, self.future = Selection(variables, n), Selection(shape.known, n)
        self.of_selection, self.of_hidden = Gated(n, n, n), Gated(n, n, n)
        self.of_cell, self.of_enrichment = Gated(n, n, n), Gated(n, n, n)
        self.encoder, self.decoder = nn.LSTM(n, n, batch_first=True), nn.LSTM(n, n, batch_first=True)
        self.after_lstm = Gate(n, n)
        self.enrich = Gated(n, n, n, context=n)
        self.attention = Attention(n, shape.heads)
        self.after_attention = Gate(n, n)
        self.feed_forward = Gated(n, n, n)
        self.before_output = Gate(n, n)
        self.output = nn.Parameter(torch.empty(n, shape.levels))
        self.output_bias = nn.Parameter(torch.zeros(shape.levels))
        at, all_hours = torch.arange(shape.ahead), torch.arange(shape.encoder + shape.ahead)
        unseen = all_hours[None, :] >= shape.encoder + at[:, None]
        self.register_buffer("unseen", unseen, persistent=False)

    def begin(self, generator: torch.Generator) -> None:
        """Draw all weights anew, by a generator of the processor whatever device they lie on. Biases are 0, norms 1."""
        for name, values in self.named_parameters():
            own = name.rsplit(".", 1)[-1]
            if own in ("weight", "gate") or own.endswith("_bias") or own == "bias":
                continue  # norms and gates are 1 and 0, biases 0 already
            with torch.no_grad():
                if own.startswith(
                    "bias"
                ):  # of the library's own layers, which it draws from the process's generator
                    values.zero_()
                    continue
                bound = math.sqrt(6 / (values.shape[-1] + values.shape[-2]))
                values.copy_(torch.empty(values.shape).uniform_(-bound, bound, generator=generator))
        with torch.no_grad():
            # Wide enough apart from the start: the levels of a normal distribution lie so, about.
            self.output_bias.fill_(-0.2)

    def forward(self, symbol: Tensor, observed: Tensor, known: Tensor, noise: Noise = QUIET) -> Answer:
        """symbol (B,), observed (B, encoder, observed), known (B, encoder + ahead, known)."""
        middle, weights_past, weights_future, looks = self.inner(symbol, observed, known, noise)
        return Answer(rising(middle @ self.output + self.output_bias), weights_past, weights_future, looks)

    def inner(
        self, symbol: Tensor, observed: Tensor, known: Tensor, noise: Noise
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """What the output layer sees (B, ahead, hidden), and the weights."""
        n, split = self.shape.observed, self.shape.encoder
        static = self.static(self.symbol[symbol])
        context = self.of_selection(static, noise).unsqueeze(1)
        numbers = torch.cat([observed, known[:, :split]], dim=-1)
        past, weights_past = self.past(numbers, self.spread, self.spread_bias, context, noise)
        scale, shift = self.spread[n:], self.spread_bias[n:]
        future, weights_future = self.future(known[:, split:], scale, shift, context, noise)
        begin = (self.of_hidden(static, noise).unsqueeze(0), self.of_cell(static, noise).unsqueeze(0))
        read, state = self.encoder(past, begin)
        said, _ = self.decoder(future, state)
        hours = self.after_lstm(torch.cat([read, said], 1), torch.cat([past, future], 1), noise)
        enriched = self.enrich(hours, noise, self.of_enrichment(static, noise).unsqueeze(1))
        seen, looks = self.attention(enriched[:, split:], enriched, self.unseen, noise)
        found = self.feed_forward(self.after_attention(seen, enriched[:, split:], noise), noise)
        return self.before_output(found, hours[:, split:], QUIET), weights_past, weights_future, looks


class QuantilesAlone(nn.Module):
    """The network without its weights of variables and hours, as it is exported."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, symbol: Tensor, observed: Tensor, known: Tensor) -> Tensor:
        """As `Network`."""
        answer: Answer = self.network(symbol, observed, known)
        return answer.quantiles


def rising(raw: Tensor) -> Tensor:
    """(..., levels) any numbers -> (..., levels) numbers that rise: the middle one is kept, each step from it outwards is a
    softplus, so that quantiles cannot cross."""
    middle = raw.shape[-1] // 2
    steps = F.softplus(raw)
    below = -torch.flip(torch.cumsum(torch.flip(steps[..., :middle], (-1,)), -1), (-1,))
    above = torch.cumsum(steps[..., middle + 1 :], -1)
    centre = raw[..., middle : middle + 1]
    return torch.cat([centre + below, centre, centre + above], dim=-1)


def pinball(quantiles: Tensor, actual: Tensor, levels: Tensor) -> Tensor:
    """(B, ahead) the mean over levels of max(a (y - q), (a - 1)(y - q)), of quantiles (B, ahead, levels)."""
    off = actual.unsqueeze(-1) - quantiles
    return torch.maximum(levels * off, (levels - 1) * off).mean(-1)
