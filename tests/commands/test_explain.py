"""An explained hour agrees with the hour itself, and its parts add up."""

from __future__ import annotations

import json
from math import log
from pathlib import Path
from typing import Any

import pytest

from tests.support.rig import command


def told(week: Path, hour: str) -> dict[str, Any]:
    """`trader explain HOUR --json`."""
    done = command("trader", "explain", hour, "--store", "store", "--json", cwd=week)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def lines(week: Path) -> list[dict[str, Any]]:
    """The hours file."""
    return [json.loads(line) for line in (week / "hours.jsonl").read_text().splitlines()]


def first(week: Path, **wanted: Any) -> dict[str, Any]:
    """The first line with these values."""
    return next(line for line in lines(week) if all(line[key] == value for key, value in wanted.items()))


def test_an_order_is_told_from_feature_to_fill(week: Path) -> None:
    """Contributions add up to P(up)'s log-odds; order, fill and fee are the line's."""
    line = first(week, order_side="BUY")
    found = told(week, line["close_time"])
    total = found["base"] + sum(found["contributions"].values())
    assert total == pytest.approx(log(line["p_up"] / (1 - line["p_up"])), abs=1e-4)
    assert found["p_up"] == line["p_up"] >= found["enter_at"]
    assert found["decision"]["qty"] == line["order_qty"]
    assert found["cost"]["paid_price"] == line["fill_price"]
    assert found["cost"]["paid_fee_usdt"] == found["cost"]["modelled_fee_usdt"] == line["fee"]
    assert found["cost"]["slippage_bps"] == 0
    assert [attempt["outcome"] for attempt in found["attempts"]] == ["filled"]
    assert found["after"] == {"position": line["position"], "equity": line["equity"]}
    for row in found["features"]:
        assert row["outside"] is not (row["low"] <= row["value"] <= row["high"])
        assert 0 <= row["place"] <= 1


@pytest.mark.parametrize("reason", ["gap", "venue_closed"])
def test_an_hour_of_an_outage_is_told_too(week: Path, reason: str) -> None:
    """No order, no attempt, and the reason that the line has."""
    line = first(week, reason=reason)
    found = told(week, line["close_time"])
    assert (found["decision"]["reason"], found["attempts"], found["cost"]) == (reason, [], None)
    assert found["bar"]["gap"] is (reason == "gap")
    assert bool(found["features"]) is (line["p_up"] is not None)


def test_the_words_hold_the_facts(week: Path) -> None:
    """A person reads what the JSON has."""
    line = first(week, order_side="SELL")
    text = command("trader", "explain", line["close_time"], "--store", "store", cwd=week).stdout
    facts = (str(line["p_up"]), line["order_qty"], line["fill_price"], line["equity"], "rsi_14", "(base)")
    assert [fact for fact in facts if fact not in text] == []


def test_without_an_hour_the_newest_is_told(week: Path) -> None:
    """An operator need not look the hour up."""
    newest = lines(week)[-1]["close_time"]
    text = command("trader", "explain", "--store", "store", cwd=week).stdout
    assert text.startswith(f"BTCUSDT {newest}")


@pytest.mark.parametrize("hour", ["2021-03-04T23", "2021-03-13T00", "last tuesday"])
def test_an_hour_that_was_never_decided_is_refused(week: Path, hour: str) -> None:
    """With the hour and the way out, and no traceback."""
    done = command("trader", "explain", hour, "--store", "store", cwd=week, check=False)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert hour[:13] in done.stderr


def test_a_replaced_model_is_found_out(week: Path, tmp_path: Path) -> None:
    """A model whose bytes do not match its card is refused, not explained by."""
    import shutil

    store = tmp_path / "store"
    shutil.copytree(week / "store", store)
    line = first(week, order_side="BUY")
    model = told(week, line["close_time"])["model"]["id"]
    other = next(path for path in (store / "models").iterdir() if path.name != model)
    (store / "models" / model / "model").write_bytes((other / "model").read_bytes())
    done = command("trader", "explain", line["close_time"], "--store", str(store), cwd=week, check=False)
    assert done.returncode == 2
    assert "do not match" in done.stderr
