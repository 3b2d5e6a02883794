"""What a person reads of a model that has no features."""

from __future__ import annotations

from trader.app.explain_words import terms_in_words
from trader.terminal import WIDTH


def test_terms_fit_the_screen_and_none_is_broken() -> None:
    """An order of words, coefficients of six digits: every term is whole on its line, and every line on the screen."""
    terms = {
        "order": "ARIMA(2,1,2) with drift",
        **{f"ar{i}": -i / 7 for i in range(1, 13)},
        "sigma2": 5.6e-05,
    }
    lines = terms_in_words(terms)
    assert lines[0].startswith("terms     order ARIMA(2,1,2) with drift, ar1 -0.142857, ")
    assert "sigma2 5.6e-05" in lines[-1]
    assert len(lines) > 1
    assert all(len(line) <= WIDTH and line.count(" ar") == line.count("ar") for line in lines)


def test_without_terms_nothing_is_said() -> None:
    """A family of rows shows its features instead."""
    assert terms_in_words({}) == []
