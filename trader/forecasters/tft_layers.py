"""The layers of the Temporal Fusion Transformer that are not of its own shape: dropout, resampling, gated residual networks, and
the selection of variables."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  # its own name

# What a step's real number is spread to before it is weighed against the others; pytorch-forecasting's default.
SPREAD = 8
# What torch adds to a variance before it divides by its root.
NORM_EPS = 1e-5


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
        self.width = outputs
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
        return F.layer_norm(x, (self.width,), self.weight, self.bias)


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
        self.width = outputs
        self.unit = nn.Parameter(torch.empty(*lead, inputs, 2 * outputs))
        self.unit_bias = nn.Parameter(torch.zeros(*side, 2 * outputs))
        self.weight = nn.Parameter(torch.ones(*side, outputs))
        self.bias = nn.Parameter(torch.zeros(*side, outputs))

    def forward(self, x: Tensor, skip: Tensor, noise: Noise) -> Tensor:
        """(..., inputs) and (..., outputs) -> (..., outputs)."""
        added = self.opened(x, noise) + skip
        return F.layer_norm(added, (self.width,), self.weight, self.bias)

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
        mix = Mix.apply if torch.is_grad_enabled() else mixed  # an export takes torch's own operations alone
        sums: Tensor = mix(normed, by_row.T.contiguous(), last.weight.squeeze(1))
        chosen = torch.addmm(sums, by_row, last.bias.squeeze(1))
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
        return F.layer_norm(added, (network.gate.width,))


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


def mixed(values: Tensor, weights: Tensor, factors: Tensor) -> Tensor:
    """What `Mix` computes."""
    found = torch.zeros_like(values[0])
    for value, weight, factor in zip(values, weights, factors, strict=True):
        found.addcmul_(value * factor, weight.unsqueeze(-1))
    return found


class Mix(torch.autograd.Function):
    """Sum over variables of values (variables, n, hidden) x weights (variables, n) x factors (variables, hidden): (n, hidden).
    Variable by variable, so that what is multiplied stays in the processor's cache."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, weights: Tensor, factors: Tensor) -> Tensor:
        """The sum."""
        ctx.save_for_backward(values, weights, factors)
        return mixed(values, weights, factors)

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
