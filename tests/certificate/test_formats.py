"""Drills of the format, of exports and of the whole: wrong input that is accepted is caught, and fails the certificate."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from backtest.certificate.certify import certify, exported
from backtest.certificate.formats import formats
from backtest.certificate.subject import Subject
from tests.support.bent_predictors import CarelessForecaster
from tests.support.certified import SPANS, clean_subject
from trader.core.certificate import PARTS, CertificatePart
from trader.core.types import HOUR_MS, Bars

NOW = 1_800_000_000_000


@pytest.fixture
def clean() -> Subject:
    """A clean model by XGBoost."""
    return clean_subject()


def test_a_card_whose_columns_are_swapped_is_caught(clean: Subject) -> None:
    """By their names; and where the names were left alone, by the distribution of each column in training."""
    columns, ranges = list(reversed(clean.card.columns)), clean.card.ranges
    named = replace(clean, card=replace(clean.card, columns=columns))
    assert formats(named).failure.startswith("columns and their order: the card names")
    mixed = dict(zip(columns, ranges.values(), strict=True))
    found = formats(replace(clean, card=replace(clean.card, ranges=mixed)))
    assert found.failure.startswith("scale of every column: ")
    assert "columns differ" in found.failure


@pytest.mark.parametrize(
    ("taken", "said"),
    [
        ("columns", "a missing column: was accepted"),
        ("symbol", "another symbol: was accepted"),
        ("crash", "a missing column: ended in IndexError"),
        ("type", "float64 in place of float32: P(up) is"),
    ],
)
def test_a_model_that_takes_what_it_was_not_fitted_for_is_caught(
    clean: Subject, taken: str, said: str
) -> None:
    """Each is to be refused by a DataError, or to change nothing."""
    assert formats(clean).passed
    forecaster: Any = CarelessForecaster(clean.forecaster, taken)
    assert formats(replace(clean, forecaster=forecaster, _loaded=[])).failure.startswith(said)


def test_a_corrupt_export_is_caught(clean: Subject) -> None:
    """Whoever knows the forms says how one differs; without any there is nothing to compare."""
    told = "onnx: row 7 gives P(up) 0.51, the model 0.49"
    assert exported(clean).checks[0].words.startswith("no export is stored")
    assert exported(replace(clean, differences=())).passed
    assert exported(replace(clean, differences=(told,))).failure == f"exported forms: {told}"


def test_a_failed_part_fails_the_certificate_and_is_named(clean: Subject) -> None:
    """The others are examined nevertheless."""
    made = certify(replace(clean, differences=("onnx: differs",)), NOW, "tests", SPANS)
    assert (made.passed, made.failed) == (False, ("exports",))
    assert made.verdict == "failed: exports (exported forms: onnx: differs)"
    assert len(made.parts) == len(PARTS)


@pytest.mark.parametrize("hours_back", [1, 24 * 30, 24 * 365])
def test_a_clock_that_went_back_passes_nothing(clean: Subject, hours_back: int) -> None:
    """By bars that end before the training ended, or by none, nothing can be said of the model; no part raises."""
    known = clean.bars.until(clean.card.train_until - hours_back * HOUR_MS)
    made = certify(replace(clean, bars=known, _learnt=[]), NOW, "tests", SPANS)
    assert made.failed == PARTS[:-1]
    assert made.known_until == (known.last if len(known) else 0)
    assert "set the clock right, or collect bars, and examine it again" in made.verdict


def test_bars_that_do_not_hold_the_training_fail_in_words(clean: Subject) -> None:
    """Not a traceback: each part says what it lacks."""
    short: Bars = clean.bars.span(clean.stop - 100 * HOUR_MS, clean.stop)
    made = certify(replace(clean, bars=short, _learnt=[]), NOW, "tests", SPANS)
    parts: dict[str, CertificatePart] = {part.part: part for part in made.parts}
    assert not parts["production"].passed
    assert all(part.failure for part in made.parts if not part.passed)
