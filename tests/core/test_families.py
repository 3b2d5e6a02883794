"""What a person is told of the families: `trader models families`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.support.rig import command
from trader.core.errors import ConfigError
from trader.core.model_params import FAMILIES, NaiveParams, ProphetParams, keys_of, told_in_words
from trader.core.param_keys import Key, range_of
from trader.forecasters import registry
from trader.forecasters.registry import forecaster_of


@pytest.mark.parametrize("family", FAMILIES)
def test_every_key_says_what_it_means(family: str) -> None:
    """And the keys are those of the family's class, all of them but the family itself."""
    keys = list(keys_of(family))
    assert {key.name for key in keys} == set(FAMILIES[family].model_fields) - {"family"}
    assert [key.name for key in keys if not key.meaning] == []


def test_the_table_fits_a_terminal_and_shows_every_key(tmp_path: Path) -> None:
    """Of every family: its keys, what it reads, whether it is there."""
    said = command("trader", "models", "families", cwd=tmp_path).stdout
    assert max(map(len, said.splitlines())) <= 80
    for family in FAMILIES:
        assert [key.name for key in keys_of(family) if key.name not in said] == []
    assert "num_leaves        15       2 to 1,024    leaves of a tree, at most" in said
    assert "It reads the last 336 hourly bars." in " ".join(said.split())


def test_a_machine_gets_numbers(tmp_path: Path) -> None:
    """One family as JSON: a key that must be given has no default."""
    (told,) = json.loads(command("trader", "models", "families", "xgboost", "--json", cwd=tmp_path).stdout)
    assert (told["family"], told["reads"], told["installed"]) == ("xgboost", "rows", True)
    assert told["keys"][0] == {
        "name": "n_estimators",
        "default": None,
        "least": 1,
        "above": None,
        "most": 10_000,
        "below": None,
        "meaning": "boosting rounds, a tree each",
        "choices": [],
    }
    assert told["without_params"]["n_estimators"] == 355


def test_an_unknown_family_is_refused(tmp_path: Path) -> None:
    """With those there are."""
    done = command("trader", "models", "families", "forest", cwd=tmp_path, check=False)
    assert (done.returncode, f"there are {', '.join(FAMILIES)}" in done.stderr) == (2, True)


@pytest.mark.parametrize(
    ("least", "above", "most", "below", "said"),
    [
        (1, None, 10_000, None, "1 to 10,000"),
        (None, 0, 1, None, "above 0 to 1"),
        (0, None, None, None, "0 or more"),
        (None, None, None, 1, "below 1"),
        (None, None, None, None, ""),
    ],
)
def test_a_range_in_words(
    least: float | None, above: float | None, most: float | None, below: float | None, said: str
) -> None:
    """Open and closed, with one bound, with none."""
    assert range_of(Key("key", 1, least, above, most, below, "")) == said


def test_a_missing_library_is_one_sentence_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks for the family's forecaster: a tick, a backtest, a study."""
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    assert "lightgbm" not in registry.installed()
    with pytest.raises(ConfigError, match=r"pip install '\.\[lightgbm\]'$"):
        forecaster_of("lightgbm")


def test_what_a_family_is_told_is_said_whatever_its_kind() -> None:
    """Numbers, words, and nothing of a key that is null."""
    assert told_in_words(NaiveParams()) == ""
    assert told_in_words(NaiveParams(forecast_hours=24)) == "forecast_hours 24"
    assert told_in_words(ProphetParams()).startswith("seasonality additive, changepoint_prior_scale 0.05, ")
