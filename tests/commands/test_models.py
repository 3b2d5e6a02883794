"""Models: listed, looked at, compared, and rolled back to."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.support.rig import command


def models(store: Path, *words: str, check: bool = True) -> Any:
    """`trader models ... --json`."""
    done = command("trader", "models", *words, "--store", str(store), "--json", cwd=store.parent, check=check)
    return json.loads(done.stdout)


def test_the_list_has_every_champion_and_one_serves(week: Path) -> None:
    """Three refits in eight days at three days a step."""
    rows = models(week / "store", "list")
    assert [row["valid_from"][:10] for row in rows] == ["2021-03-05", "2021-03-08", "2021-03-11"]
    assert [row["serves"] for row in rows] == [False, False, True]
    assert [row["why"] for row in rows] == ["first", "calendar", "calendar"]


def test_a_card_is_found_by_the_beginning_of_its_id(week: Path) -> None:
    """The card says what it was trained on, and the ranges hold every column."""
    card = models(week / "store", "card", "20210308")
    assert set(card["ranges"]) == set(card["columns"])
    assert all(list(known) == sorted(known) for known in card["ranges"].values())


def test_two_cards_are_compared(week: Path) -> None:
    """Only what differs: times, data, model; not the parameters, which were the same."""
    what = {row["what"] for row in models(week / "store", "compare", "20210305", "20210308")}
    assert {"model_id", "valid_from", "train_until", "data"} <= what
    assert not any(name.startswith("xgboost.") for name in what)
    same = command("trader", "models", "compare", "20210305", "20210305", "--store", "store", cwd=week)
    assert "same model" in same.stdout


@pytest.mark.parametrize(("given", "said"), [("2021", "names 3 models"), ("nothing", "names no model")])
def test_an_unclear_id_is_refused(week: Path, given: str, said: str) -> None:
    """With what it could mean and where to look."""
    done = command("trader", "models", "card", given, "--store", "store", cwd=week, check=False)
    assert done.returncode == 2
    assert said in done.stderr
    assert "trader models list" in done.stderr


def test_a_rollback_lets_an_earlier_model_serve_and_removes_nothing(week: Path, tmp_path: Path) -> None:
    """It is one more event; doing it twice is refused."""
    store = tmp_path / "store"
    shutil.copytree(week / "store", store)
    words = ("rollback", "20210305", "--from", "2021-03-13", "--reason", "the new ones never trade")
    assert models(store, *words)["valid_from"] == "2021-03-13T00:00:00Z"
    rows = models(store, "list")
    assert [row["serves"] for row in rows] == [False, False, False, True]
    assert (rows[-1]["why"], rows[-1]["model_id"]) == ("rollback", rows[0]["model_id"])
    again = command("trader", "models", *words, "--store", str(store), cwd=tmp_path, check=False)
    assert again.returncode == 2
    assert "serves 2021-03-13T00:00:00Z already" in again.stderr
