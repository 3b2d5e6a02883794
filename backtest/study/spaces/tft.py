"""The search space of the Temporal Fusion Transformer: how much it holds, how far it looks back, how it learns."""

from __future__ import annotations

from collections.abc import Mapping

from backtest.study.spaces.family import FamilySpace, Range

# An hour costs about as much at any width as 32 further numbers of its description do.
_AT_ANY_WIDTH = 32


def fit_cost(values: Mapping[str, float]) -> float:
    """Days trained on x hours of a window x the width."""
    return values["look_back_days"] * values["encoder_hours"] * (_AT_ANY_WIDTH + values["hidden_size"])


SPACE = FamilySpace(
    family="tft",
    ranges={
        "hidden_size": Range(16, 64, whole=True, step=16),
        "encoder_hours": Range(24, 168, whole=True, step=24),
        "dropout": Range(0.0, 0.3),
        "learning_rate": Range(0.0003, 0.01, by_size=True),
    },
    fit_cost=fit_cost,
)
