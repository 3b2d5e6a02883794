"""The search space of ARIMA: how far the automatic choice of an order may go, and what its fits cost."""

from __future__ import annotations

from collections.abc import Mapping

from backtest.study.spaces.family import FamilySpace, Range

SEASONAL = (
    60.0  # times as dear as a fit without a season: 57 s of processor time, on 720 hours with a season of 24
)


def fit_cost(values: Mapping[str, float]) -> float:
    """days trained on x the orders that a stepwise search may pass; a season costs a multiple."""
    orders = 1 + values["max_p"] + values["max_q"]
    return values["look_back_days"] * orders * (SEASONAL if values["season_length"] > 1 else 1.0)


SPACE = FamilySpace(
    family="arima",
    ranges={"max_p": Range(0, 5, whole=True), "max_q": Range(0, 5, whole=True)},
    fit_cost=fit_cost,
)
