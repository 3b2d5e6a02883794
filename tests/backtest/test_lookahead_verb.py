"""`backtest lookahead`: clean code passes, a user's leak is named, and a feature of one's own is used end to end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.rig import command, quick_params
from tests.support.rig_bars import made_bars

SPAN = ("--from", "2021-03-05", "--to", "2021-03-25")

MINE = '''
import numpy as np
from trader.core.presets import Preset

def compute(bars):
    step = bars.close / bars.open - 1
    wick = (bars.high - bars.low) / bars.close
    return np.column_stack([step, {second}])

MINE = Preset("mine", ("step", "second"), compute)
'''  # fmt: skip  # read as a table


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bars and parameters."""
    there = tmp_path_factory.mktemp("lookahead")
    made_bars(there, "2020-12-01", "2021-04-10")
    (there / "P.json").write_text(json.dumps(quick_params()))
    (there / "Q.json").write_text(json.dumps(quick_params(features="mine")))
    return there


def given(folder: Path, params: str = "P.json") -> tuple[str, ...]:
    """Options of every verb here."""
    return ("--bars", str(folder / "BTCUSDT-1h.parquet"), *SPAN, "--params", params)


def own(folder: Path, name: str, second: str) -> dict[str, str]:
    """An environment that names a file of features."""
    (folder / name).write_text(MINE.format(second=second))
    return {"TRADER_FEATURES_MODULE": name}


def test_clean_code_is_not_flagged(folder: Path) -> None:
    """Features, labels, predictions, decisions: all looked at, none found."""
    checks = json.loads(command("backtest", "lookahead", *given(folder), "--json", cwd=folder).stdout)
    assert [check["found"] for check in checks] == [[]] * 5
    assert all(check["looked_at"] > 0 for check in checks)


def test_a_feature_of_ones_own_is_used_and_clean(folder: Path) -> None:
    """Named in the environment or in trader.toml; the run differs from the seed's."""
    environment = own(folder, "mine.py", "wick")
    seed = command("backtest", "run", *given(folder), "--json", cwd=folder)
    ours = command(
        "backtest", "run", *given(folder, "Q.json"), "--json", cwd=folder, check=True, **environment
    )
    assert json.loads(seed.stdout)["hit_rate"] != json.loads(ours.stdout)["hit_rate"]
    done = command(
        "backtest", "lookahead", *given(folder, "Q.json"), "--json", cwd=folder, check=True, **environment
    )
    assert {tuple(check["found"]) for check in json.loads(done.stdout)} == {()}


@pytest.mark.parametrize(
    ("second", "said"),
    [
        ("np.append(bars.close[1:], np.nan)", "look ahead: second"),
        ("(wick - wick.mean())", "look ahead: second"),
        ("wick[1:]", "failed on"),
        ("undefined_name", "NameError"),
    ],
)
def test_a_leaking_or_broken_feature_is_refused_before_it_trains(
    folder: Path, second: str, said: str
) -> None:
    """Automatically, by name, without a traceback."""
    environment = own(folder, "bad.py", second)
    done = command("backtest", "run", *given(folder, "Q.json"), cwd=folder, check=False, **environment)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("text", "said"), [("", "defines no Preset"), ("1 +", "SyntaxError"), (None, "cannot be read")]
)
def test_a_file_that_is_none_is_refused(folder: Path, text: str | None, said: str) -> None:
    """With what it should hold."""
    if text is not None:
        (folder / "none.py").write_text(text)
    name = "none.py" if text is not None else "missing.py"
    done = command("backtest", "run", *given(folder), cwd=folder, check=False, TRADER_FEATURES_MODULE=name)
    assert done.returncode == 2
    assert said in done.stderr
