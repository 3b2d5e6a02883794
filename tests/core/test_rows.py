"""A family of rows that lacks one of its functions is refused when it is made, not when it is first asked."""

from __future__ import annotations

from abc import ABC

import pytest

from trader.forecasters.rows import RowForecaster, RowPredictor, StagedRowPredictor


@pytest.mark.parametrize(
    ("base", "lacking"),
    [
        (RowPredictor, {"scores"}),
        (StagedRowPredictor, {"scores", "staged_scores"}),
        (RowForecaster, {"train", "dump", "predictor", "load"}),
    ],
)
def test_an_unfinished_family_cannot_be_made(base: type[ABC], lacking: set[str]) -> None:
    """And the error names what is missing."""
    with pytest.raises(TypeError, match="abstract") as refused:
        type("Unfinished", (base,), {})()
    assert {name for name in lacking if name in str(refused.value)} == lacking
