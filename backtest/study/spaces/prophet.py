"""The search space of Prophet: how readily its trend bends and how large its seasons may be, and what its fits cost."""

from __future__ import annotations

from collections.abc import Mapping

from backtest.study.spaces.family import FamilySpace, Range


def fit_cost(values: Mapping[str, float]) -> float:
    """days trained on x changepoints, and seven for the coefficients of the seasons."""
    return values["look_back_days"] * (values["n_changepoints"] + 7)


SPACE = FamilySpace(
    family="prophet",
    ranges={
        "changepoint_prior_scale": Range(0.001, 0.5),
        "seasonality_prior_scale": Range(0.01, 10.0),
        "n_changepoints": Range(5, 50, whole=True),
    },
    fit_cost=fit_cost,
)
