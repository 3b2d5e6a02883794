"""The recipe of docs/python.md that needs the extra `tft`: it runs as it is printed, and prints what the page says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.docs.blocks import blocks_of

PAGE = Path(__file__).resolve().parents[2] / "docs" / "python.md"


def test_one_model_for_several_symbols(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In an empty folder. A small network learns twice for it: above two seconds."""
    monkeypatch.chdir(tmp_path)
    (recipe,) = [it for it in blocks_of(PAGE) if it.test == "tests/families/test_recipes.py"]
    names: dict[str, Any] = {}
    exec(compile(recipe.body, recipe.place, "exec", dont_inherit=True), names)  # noqa: S102  # our own page
    assert capsys.readouterr().out == recipe.prints
    told = names["told"]
    assert not told.isna().to_numpy().any()
    assert (told.to_numpy()[:, 1:] >= told.to_numpy()[:, :-1]).all()
