"""The search space of the rolling distribution: it has nothing to search but the thresholds that its P(up) is traded by."""

from __future__ import annotations

from backtest.study.spaces.family import FamilySpace

SPACE = FamilySpace(family="naive", ranges={}, fit_cost=lambda values: 1.0, learns=False)
