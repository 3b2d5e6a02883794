"""The search space of the Temporal Fusion Transformer."""

from __future__ import annotations

from backtest.study.spaces.family import FamilySpace, Range

SPACE = FamilySpace(
    family="tft",
    ranges={
        "learning_rate": Range(0.0003, 0.01),
        "dropout": Range(0.0, 0.3),
    },
    fit_cost=lambda values: values["look_back_days"],
)
