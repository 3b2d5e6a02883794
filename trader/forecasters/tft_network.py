"""The Temporal Fusion Transformer (Lim, Arik, Loeff and Pfister, 2021, arXiv 1912.09363) in torch, for windows of one length.

As pytorch-forecasting writes it, so that a test can give both the same weights: the skip of a layer whose output is wider or
narrower than its input is a linear interpolation, and an embedding passes the selection of variables by a norm alone. What
differs: the variables of a step are computed together, not one after the other; every window has the same length, so nothing is
padded; the quantiles cannot cross. Dropout draws from a generator that the caller seeds, never from the process's own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  # its own name

# What a step's real number is spread to before it is weighed against the others; pytorch-forecasting's default.
SPREAD = 8
# What torch adds to a variance before it divides by its root.
NORM_EPS = 1e-5


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


class Noise:
    """Dropout by a generator of its own; none where it has none."""

    def __init__(self, share: float = 0.0, generator: torch.Generator | None = None) -> None:
        self.share, self.generator = share, generator

    def __call__(self, x: Tensor) -> Tensor:
        """x with some of its values put to 0, the others scaled up."""
        if self.generator is None or self.share == 0:
            return x
        kept = torch.rand(x.shape, generator=self.generator, device=x.device).ge_(self.share)
        return x * kept.mul_(1 / (1 - self.share))


QUIET = Noise()


def interpolation(inputs: int, outputs: int) -> Tensor:
    """(inputs, outputs) the matrix that resamples a vector linearly, its ends kept."""
    return F.interpolate(torch.eye(inputs).unsqueeze(1), outputs, mode="linear", align_corners=True).squeeze(
        1
    )


class Resample(nn.Module):
    """A vector at another width, gated value by value, normed. groups: so many of them side by side, each with its own gates."""

    def __init__(self, inputs: int, outputs: int, groups: int = 0) -> None:
        super().__init__()
        lead = (groups, 1) if groups else ()
        self.register_buffer("matrix", interpolation(inputs, outputs), persistent=False)
        self.gate = nn.Parameter(torch.zeros(*lead, outputs))
        self.weight = nn.Parameter(torch.ones(*lead, outputs))
        self.bias = nn.Parameter(torch.zeros(*lead, outputs))

    def forward(self, x: Tensor) -> Tensor:
        """(..., inputs) -> (..., outputs)."""
        return self.normed(x @ self.gated())

    def gated(self) -> Tensor:
        """(..., inputs, outputs) the matrix with its gates."""
        matrix: Tensor = self.matrix * torch.sigmoid(self.gate) * 2.0
        return matrix

    def normed(self, x: Tensor) -> Tensor:
        """The norm at the end, of vectors that are resampled already."""
        return F.layer_norm(x, x.shape[-1:], self.weight, self.bias)


class Gated(nn.Module):
    """The gated residual network: two layers, a context between them, a gate that can close, the input added, normed.

    groups: the weights of so many networks of the same widths, which `Selection` applies to a number each.
    """

    def __init__(self, inputs: int, hidden: int, outputs: int, context: int = 0, groups: int = 0) -> None:
        super().__init__()
        lead = (groups,) if groups else ()
        side = (groups, 1) if groups else ()
        self.skip = Resample(inputs, outputs, groups) if inputs != outputs else None
        self.first = nn.Parameter(torch.empty(*lead, inputs, hidden))
        self.first_bias = nn.Parameter(torch.zeros(*side, hidden))
        self.context = nn.Parameter(torch.empty(context, hidden)) if context else None
        self.second = nn.Parameter(torch.empty(*lead, hidden, hidden))
        self.second_bias = nn.Parameter(torch.zeros(*side, hidden))
        self.gate = Gate(hidden, outputs, groups)

    def forward(self, x: Tensor, noise: Noise, context: Tensor | None = None) -> Tensor:
        """(..., inputs) -> (..., outputs). context: (..., context)."""
        inner = _linear(x, self.first, self.first_bias)
        return self.rest(inner, x if self.skip is None else self.skip(x), noise, context)

    def rest(self, inner: Tensor, skip: Tensor, noise: Noise, context: Tensor | None = None) -> Tensor:
        """What follows the first layer (..., hidden), beside the input at the width of the output (..., outputs)."""
        if context is not None and self.context is not None:
            inner = inner + context @ self.context
        inner = _linear(F.elu(inner), self.second, self.second_bias)
        return self.gate(inner, skip, noise)


def _linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return torch.baddbmm(bias, x, weight) if weight.ndim == 3 else F.linear(x, weight.T, bias)


class Gate(nn.Module):
    """A gated linear unit, a skip added, normed."""

    def __init__(self, inputs: int, outputs: int, groups: int = 0) -> None:
        super().__init__()
        lead = (groups,) if groups else ()
        side = (groups, 1) if groups else ()
        self.unit = nn.Parameter(torch.empty(*lead, inputs, 2 * outputs))
        self.unit_bias = nn.Parameter(torch.zeros(*side, 2 * outputs))
        self.weight = nn.Parameter(torch.ones(*side, outputs))
        self.bias = nn.Parameter(torch.zeros(*side, outputs))

    def forward(self, x: Tensor, skip: Tensor, noise: Noise) -> Tensor:
        """(..., inputs) and (..., outputs) -> (..., outputs)."""
        added = self.opened(x, noise) + skip
        return F.layer_norm(added, added.shape[-1:], self.weight, self.bias)

    def opened(self, x: Tensor, noise: Noise) -> Tensor:
        """What the gate lets through."""
        return F.glu(_linear(noise(x), self.unit, self.unit_bias), dim=-1)


class Selection(nn.Module):
    """Which of the variables of an hour count: each is a number, spread to SPREAD; the weights add up to 1.

    A spread number is `number * scale + shift`, and what is linear in it is linear in the number. So no number is ever spread:
    the small matrices are multiplied instead, once a batch. Most of a training's time is spent here.
    """

    def __init__(self, variables: int, hidden: int) -> None:
        super().__init__()
        self.weigh = Gated(variables * SPREAD, min(hidden, variables), variables, context=hidden)
        self.each = Gated(SPREAD, min(SPREAD, hidden), hidden, groups=variables)

    def forward(
        self, numbers: Tensor, scale: Tensor, shift: Tensor, context: Tensor, noise: Noise
    ) -> tuple[Tensor, Tensor]:
        """numbers (B, hours, variables), scale and shift (variables, SPREAD), context (B, 1, hidden) -> (B, hours, hidden),
        weights (B, hours, variables)."""
        weights = torch.softmax(self._weighed(numbers, scale, shift, context, noise), dim=-1)
        rows = numbers.flatten(0, 1).T.contiguous()
        normed = self._each(rows.unsqueeze(-1), scale.unsqueeze(1), shift.unsqueeze(1), noise)
        last, by_row = self.each.gate, weights.flatten(0, 1)
        mixed: Tensor = Mix.apply(normed, by_row.T.contiguous(), last.weight.squeeze(1))
        chosen = torch.addmm(mixed, by_row, last.bias.squeeze(1))
        return chosen.view(*numbers.shape[:2], -1), weights

    def _weighed(
        self, numbers: Tensor, scale: Tensor, shift: Tensor, context: Tensor, noise: Noise
    ) -> Tensor:
        """The network over all variables side by side."""
        network = self.weigh
        if network.skip is None:
            raise TypeError("variables are more numbers than they are")  # each is SPREAD of them
        inner = _of_spread(numbers, scale, shift, network.first) + network.first_bias
        skip = network.skip.normed(_of_spread(numbers, scale, shift, network.skip.gated()))
        return network.rest(inner, skip, noise, context)

    def _each(self, x: Tensor, scale: Tensor, shift: Tensor, noise: Noise) -> Tensor:
        """The network of each variable, but for the factors and terms of its last norm: x (variables, n, 1), scale and shift
        (variables, 1, SPREAD) -> (variables, n, hidden)."""
        network = self.each
        inner = torch.addcmul(shift @ network.first + network.first_bias, x, scale @ network.first)
        inner = _linear(F.elu(inner), network.second, network.second_bias)
        opened = network.gate.opened(inner, noise)
        if network.skip is None:  # hidden is SPREAD
            added = opened + torch.addcmul(shift, x, scale)
        else:
            added = torch.baddbmm(opened, *_resampled(x, scale, shift, network.skip))
        return _norm(added)


def _norm(x: Tensor) -> Tensor:
    return F.layer_norm(x, x.shape[-1:])


def _of_spread(numbers: Tensor, scale: Tensor, shift: Tensor, matrix: Tensor) -> Tensor:
    """(..., variables) -> (..., outputs): the spread numbers side by side, times the matrix."""
    by_variable = matrix.view(*scale.shape, -1)
    return F.linear(numbers, (scale.unsqueeze(-1) * by_variable).sum(1).T, shift.flatten() @ matrix)


def _resampled(x: Tensor, scale: Tensor, shift: Tensor, skip: Resample) -> tuple[Tensor, Tensor]:
    """A resampled spread number as the product of two: (variables, n, 3) and (variables, 3, outputs).

    Before its norm it is x p + q. Without their means these have the variance a (x + c)^2 + d, with a and d of squares, so
    nothing cancels.
    """
    matrix = skip.gated()
    p, q = scale @ matrix, shift @ matrix
    p, q = p - p.mean(-1, keepdim=True), q - q.mean(-1, keepdim=True)
    a = (p * p).mean(-1, keepdim=True)
    c = (p * q).mean(-1, keepdim=True) / a.clamp_min(1e-20)
    d = ((q - c * p) ** 2).mean(-1, keepdim=True)
    over = torch.rsqrt(a * (x + c) ** 2 + (d + NORM_EPS))
    factors = torch.cat([x * over, over, torch.ones_like(over)], dim=-1)
    return factors, torch.cat([p * skip.weight, q * skip.weight, skip.bias], dim=1)


class Mix(torch.autograd.Function):
    """Sum over variables of values (variables, n, hidden) x weights (variables, n) x factors (variables, hidden): (n, hidden).
    Variable by variable, so that what is multiplied stays in the processor's cache."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, weights: Tensor, factors: Tensor) -> Tensor:
        """The sum."""
        ctx.save_for_backward(values, weights, factors)
        mixed = torch.zeros_like(values[0])
        for value, weight, factor in zip(values, weights, factors, strict=True):
            mixed.addcmul_(value * factor, weight.unsqueeze(-1))
        return mixed

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """By value, weight and factor."""
        values, weights, factors = ctx.saved_tensors
        (gradient,) = gradients
        of_values = torch.empty_like(values)
        of_weights, of_factors = torch.empty_like(weights), torch.empty_like(factors)
        for i, (value, weight, factor) in enumerate(zip(values, weights, factors, strict=True)):
            product = gradient * value
            torch.mv(product, factor, out=of_weights[i])
            torch.mv(product.T, weight, out=of_factors[i])
            torch.mul(gradient, factor, out=of_values[i]).mul_(weight.unsqueeze(-1))
        return of_values, of_weights, of_factors


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
        """Draw all weights anew. Biases are 0, norms 1."""
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
                values.uniform_(-bound, bound, generator=generator)
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
