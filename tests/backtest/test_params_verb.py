"""`backtest params`: its template is a file that every door reads, its table fits a terminal."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.rig import command
from trader.core.model_params import FAMILIES
from trader.core.params import DEFAULT_PARAMS, params_of, parse_params


@pytest.mark.parametrize("family", FAMILIES)
def test_the_template_is_read_back(tmp_path: Path, family: str) -> None:
    """Its values are the documented defaults, with this family's model; `--json` puts the same on one line."""
    shown = command("backtest", "params", "--family", family, cwd=tmp_path).stdout
    read = parse_params(shown, "P.json")
    assert read.model.family == family
    if family == DEFAULT_PARAMS["model"]["family"]:
        assert read == params_of(DEFAULT_PARAMS, "the defaults")
    line = command("backtest", "params", "--family", family, "--json", cwd=tmp_path).stdout
    assert json.loads(line) == json.loads(shown)
    assert len(line.splitlines()) == 1


@pytest.mark.parametrize("family", FAMILIES)
def test_every_key_is_explained_within_eighty_columns(tmp_path: Path, family: str) -> None:
    """Each key of the template is a row with its default; a machine gets the bounds as numbers."""
    told = command("backtest", "params", "--family", family, "--explain", cwd=tmp_path).stdout
    assert max(map(len, told.splitlines())) <= 80
    table = told.split("\n\n")[0]
    rows = {line.split()[0]: line.split()[1] for line in table.splitlines() if line[:1] not in " -"}
    values = json.loads(command("backtest", "params", "--family", family, cwd=tmp_path).stdout)
    model = values.pop("model")
    named = {*values, *(f"model.{key}" for key in model)}
    assert named <= set(rows)
    assert rows["step_days"] == "30"
    machine = command("backtest", "params", "--family", family, "--explain", "--json", cwd=tmp_path).stdout
    keys = {key["name"]: key for key in json.loads(machine)}
    assert set(keys) == named
    assert (keys["step_days"]["least"], keys["step_days"]["most"]) == (1, 3650)
    assert keys["exposure"]["choices"] == ["long_flat", "long_short"]


def test_an_unknown_family_is_refused(tmp_path: Path) -> None:
    """With those there are."""
    done = command("backtest", "params", "--family", "oracle", cwd=tmp_path, check=False)
    assert done.returncode == 2
    assert "there are xgboost, lightgbm, naive" in done.stderr


def test_both_doors_read_a_file_that_names_one_key(tmp_path: Path) -> None:
    """`backtest run` refuses its bars, not its parameters; so does `trader replay`."""
    (tmp_path / "P.json").write_text('{"look_back_days": 30}')
    span = ("--bars", "none.parquet", "--from", "2022-01-01", "--to", "2022-01-02", "--params", "P.json")
    for program, verb in (("backtest", "run"), ("trader", "replay")):
        done = command(program, verb, *span, cwd=tmp_path, check=False)
        assert done.returncode == 2
        assert "none.parquet" in done.stderr
