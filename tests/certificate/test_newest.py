"""Drills of the newest data: parameters, and quantiles, that are worse on the newest hours than on all are refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from backtest.certificate.newest import newest
from backtest.certificate.subject import Spans, Subject
from tests.support.certified import SPANS, clean_subject, subject_for, trending


@pytest.fixture
def clean() -> Subject:
    """A clean model by XGBoost."""
    return clean_subject()


@pytest.mark.parametrize(("turned", "passed"), [(0, True), (10 * 24, False)])
def test_parameters_that_are_worse_on_the_newest_hours_are_refused(turned: int, passed: bool) -> None:
    """Of 100 days the market turns in the last ten: the Brier score there lies wholly above that of all."""
    found = newest(subject_for("xgboost", bars=trending(4_200, turned)), Spans(newest_days=100))
    assert found.passed is passed, found
    assert found.figures["newest_hours"] == pytest.approx(240, abs=2)
    if not passed:
        assert found.failure.startswith("error on the newest hours: Brier score")
        assert found.figures["newest_brier_low"] > found.figures["brier"]


def test_folds_are_kept_and_found_again(clean: Subject, tmp_path: Any) -> None:
    """A second certificate computes none of them, and finds the same."""
    first, again = (newest(clean, SPANS, cache=tmp_path) for _ in range(2))
    assert (first.figures["folds_kept_before"], again.figures["folds_kept_before"]) == (
        0,
        first.figures["folds"],
    )
    assert first.checks == again.checks


def test_a_young_market_has_nothing_to_walk_over(clean: Subject) -> None:
    """A training's own span and no more: said, and no failure."""
    young = clean.bars.span(clean.card.train_from, clean.stop)
    found = newest(replace(clean, bars=young), SPANS)
    assert found.passed
    assert "too late for one window" in found.checks[0].words
