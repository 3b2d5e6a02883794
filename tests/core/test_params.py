"""Parameters: refused with the name of the key, and read back as they were written."""

from __future__ import annotations

import hashlib
import json
from decimal import Decimal
from typing import Any

import pytest
from pydantic import BaseModel

from trader.core.errors import ConfigError
from trader.core.model_params import FAMILIES
from trader.core.param_keys import keys_in, range_of
from trader.core.params import DEFAULT_PARAMS, FIRST_KEYS, Params, params_of, parse_params, template

MODEL: dict[str, Any] = DEFAULT_PARAMS["model"]

BAD: list[tuple[str, Any]] = [
    ("look_back_days", 0),
    ("look_back_days", 59.5),
    ("look_back_days", "59"),
    ("look_back_days", None),
    ("step_days", -1),
    ("gap_hours", 0),
    ("enter_edge", -0.1),
    ("enter_edge", 0.5),
    ("enter_edge", "much"),
    ("exit_edge", 0.5),
    ("exposure", "short_only"),
    ("fee_rate", -0.001),
    ("fee_rate", 1),
    ("half_spread_bps", -1),
    ("slippage_bps", 5_000),
    ("allocation_usdt", 0),
    ("allocation_usdt", 1e300),
    ("features", 7),
    ("seed", -1),
    ("seed", 2**31),
    ("horizon_hours", 0),
    ("horizon_hours", 25),
    ("horizon_hours", 1.5),
    ("label", "up"),
    ("cash_buffer", 1),
    ("rebalance_band", 1.5),
    ("halt_cumulative_return", 0.2),
    ("halt_drawdown", -0.2),
    ("price_band", 0),
    ("price_band", 1.5),
    ("promotion", "sometimes"),
    ("model", 5),
    ("model.n_estimators", 0),
    ("model.n_estimators", 10.5),
    ("model.max_depth", 31),
    ("model.learning_rate", 0),
    ("model.subsample", 0),
    ("model.colsample_bytree", 1.1),
    ("model.gamma", -1),
    ("model.gamma", True),
]


def with_value(key: str, value: Any) -> dict[str, Any]:
    """The defaults with one value changed; a dot reaches into the model."""
    if key.startswith("model."):
        return {**DEFAULT_PARAMS, "model": {**MODEL, key.removeprefix("model."): value}}
    return {**DEFAULT_PARAMS, key: value}


@pytest.mark.parametrize(("key", "value"), BAD)
def test_a_bad_value_is_refused_by_name(key: str, value: Any) -> None:
    """The message names the file, the key and the value that stands there."""
    with pytest.raises(ConfigError, match=rf"^P\.json: .*'{key}'.*not ") as caught:
        params_of(with_value(key, value), "P.json")
    assert repr(value) in str(caught.value)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
@pytest.mark.parametrize("key", ["fee_rate", "enter_edge", "allocation_usdt", "halt_drawdown"])
def test_what_is_no_number_is_refused(key: str, number: str) -> None:
    """JSON's extensions do not slip through a bound."""
    text = json.dumps({**DEFAULT_PARAMS, key: "@"}).replace('"@"', number)
    with pytest.raises(ConfigError, match=f"P.json: .*{key}|P.json: not valid JSON"):
        parse_params(text, "P.json")


@pytest.mark.parametrize("key", ["look_back", "model.reg_lambda"])
def test_an_unknown_key_is_refused_with_the_known_ones(key: str) -> None:
    """A misspelt key never falls back on a default."""
    with pytest.raises(
        ConfigError, match=f"unknown key '{key}'; the keys are .*(look_back_days|n_estimators)"
    ):
        params_of(with_value(key, 59), "P.json")


@pytest.mark.parametrize("key", FIRST_KEYS)
def test_a_key_that_is_missing_in_what_was_stored_is_named(key: str) -> None:
    """A store's objects are whole: nothing that decided is guessed."""
    values = {name: value for name, value in DEFAULT_PARAMS.items() if name != key}
    with pytest.raises(ConfigError, match=f"models/m/card: '{key}' is missing"):
        params_of(values, "models/m/card")
    partial = {**DEFAULT_PARAMS, "model": {"family": "xgboost", "max_depth": 3}}
    with pytest.raises(ConfigError, match=r"models/m/card: 'model.n_estimators' is missing"):
        params_of(partial, "models/m/card")


@pytest.mark.parametrize("changed", [{}, {"look_back_days": 30}, {"fee_rate": 0.00075, "halt_drawdown": 0.3}])
def test_a_file_need_name_only_what_differs(changed: dict[str, Any]) -> None:
    """The rest are the documented defaults, and what is stored and hashed of it is the same as of a whole file."""
    short, whole = (
        parse_params(json.dumps(values), "P.json") for values in (changed, {**DEFAULT_PARAMS, **changed})
    )
    assert short == whole
    assert short.as_json() == whole.as_json()
    assert short.identity() == whole.identity()


@pytest.mark.parametrize("family", FAMILIES)
def test_a_template_without_a_line_of_it_is_the_template(family: str) -> None:
    """Whatever is left out of it, also within the model, has the value that stood there."""
    whole = template(family)
    expected = parse_params(json.dumps(whole), "P.json")
    for key in whole.keys() - {"model"}:
        short = {name: value for name, value in whole.items() if name != key}
        assert parse_params(json.dumps(short), "P.json") == expected
    assert parse_params(json.dumps({**whole, "model": {"family": family}}), "P.json") == expected


def test_a_model_that_names_one_key_changes_the_default_trees() -> None:
    """Also under the name that earlier files give it."""
    trees = {**MODEL, "max_depth": 3}
    for short in ({"model": {"family": "xgboost", "max_depth": 3}}, {"xgboost": {"max_depth": 3}}):
        assert parse_params(json.dumps(short), "P.json") == params_of({**DEFAULT_PARAMS, "model": trees}, "x")


def test_a_model_that_was_whole_before_keys_could_be_left_out_is_read_as_it_was() -> None:
    """With the three needed keys the others are XGBoost's own: such a file trains the trees that it always trained."""
    needed = {"family": "xgboost", "n_estimators": 20, "max_depth": 3, "learning_rate": 0.1}
    read = parse_params(json.dumps({**DEFAULT_PARAMS, "model": needed}), "P.json").as_json()["model"]
    assert read == {**needed, "subsample": 1.0, "colsample_bytree": 1.0, "gamma": 0}


@pytest.mark.parametrize("kind", [Params, *FAMILIES.values()])
def test_every_key_says_what_it_means(kind: type[BaseModel]) -> None:
    """Whoever adds one describes it; numbers have a range."""
    silent = [key.name for key in keys_in(kind) if not key.meaning and key.name != "family"]
    assert silent == []
    loose = [key.name for key in keys_in(kind) if isinstance(key.default, int | float) and not range_of(key)]
    assert loose == []


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"xgboost": }', "\xff"])
def test_what_is_no_parameter_file_is_refused(text: str) -> None:
    """No traceback of a parser reaches a person."""
    with pytest.raises(ConfigError, match=r"^P\.json: "):
        parse_params(text, "P.json")


def test_bytes_that_are_no_text_are_refused() -> None:
    """A binary file given by mistake is a parameter file that is wrong, not a crash."""
    with pytest.raises(ConfigError, match=r"^P\.json: "):
        parse_params(b"PAR1\xff\xfe\x00", "P.json")


def test_the_defaults_are_the_documented_ones() -> None:
    """The optional keys and their values."""
    params = params_of(DEFAULT_PARAMS, "the defaults")
    optional = {key: value for key, value in params.as_json().items() if key not in DEFAULT_PARAMS}
    assert optional == {
        "horizon_hours": 1,
        "cash_buffer": 0.001,
        "rebalance_band": 0.05,
        "halt_cumulative_return": -0.2,
        "halt_drawdown": None,
    }


def test_parameters_survive_being_written() -> None:
    """as_json and back gives equal parameters, every Decimal the same."""
    params = params_of(
        {**DEFAULT_PARAMS, "fee_rate": 0.00075, "slippage_bps": 0.3, "halt_drawdown": 0.35}, "x"
    )
    assert parse_params(json.dumps(params.as_json()), "x") == params
    assert str(params.fee_rate) == "0.00075"


def test_an_absent_fee_discount_is_not_written() -> None:
    """So hashes of parameters without one stay; one of 0 is another configuration, and a share of 1 is none."""
    without = params_of(DEFAULT_PARAMS, "x")
    assert "fee_discount" not in without.as_json()
    assert without.costs.paid_rate == Decimal("0.001")
    for share in (0, 0.25):
        params = params_of({**DEFAULT_PARAMS, "fee_discount": share}, "x")
        assert params.as_json()["fee_discount"] == share
        assert params_of(params.as_json(), "x") == params
        assert params.identity() != without.identity()
    assert params.costs.paid_rate == Decimal("0.00075")
    with pytest.raises(ConfigError, match="fee_discount"):
        params_of({**DEFAULT_PARAMS, "fee_discount": 1}, "x")


def test_the_default_label_is_not_written() -> None:
    """So parameters written before there was another have the hash they had; another label is written and read back."""
    beyond = params_of({**DEFAULT_PARAMS, "label": "direction_beyond_cost", "horizon_hours": 24}, "x")
    assert "label" not in params_of(DEFAULT_PARAMS, "x").as_json()
    assert params_of({**DEFAULT_PARAMS, "label": "direction"}, "x") == params_of(DEFAULT_PARAMS, "x")
    assert beyond.as_json()["label"] == "direction_beyond_cost"
    assert params_of(beyond.as_json(), "x") == beyond


def test_no_price_band_is_not_written() -> None:
    """Parameters without one have the values, and so the hash, that they had before there was any; one that is there counts."""
    without, banded = params_of(DEFAULT_PARAMS, "x"), params_of({**DEFAULT_PARAMS, "price_band": 0.02}, "x")
    assert "price_band" not in without.as_json()
    assert "price_band" not in without.identity()
    assert params_of({**DEFAULT_PARAMS, "price_band": None}, "x") == without
    assert (str(banded.price_band), banded.identity()["price_band"]) == ("0.02", 0.02)
    assert params_of(banded.as_json(), "x") == banded


def test_parameters_cannot_be_changed() -> None:
    """What was validated stays."""
    params = params_of(DEFAULT_PARAMS, "x")
    with pytest.raises(ValueError, match="frozen"):
        params.seed = 8
    assert isinstance(params, Params)


EARLIER: dict[str, Any] = {
    **{key: value for key, value in DEFAULT_PARAMS.items() if key != "model"},
    "xgboost": {key: value for key, value in MODEL.items() if key != "family"},
}


def test_a_file_of_before_there_were_families_is_read() -> None:
    """`xgboost` names that family, and the one promotion there was says nothing more."""
    assert params_of({**EARLIER, "promotion": "always"}, "P.json") == params_of(DEFAULT_PARAMS, "P.json")
    with pytest.raises(ConfigError, match=r"P.json: 'xgboost.max_depth': .*, not 0"):
        params_of({**EARLIER, "xgboost": {**EARLIER["xgboost"], "max_depth": 0}}, "P.json")
    with pytest.raises(ConfigError, match=r"unknown key 'xgboost\.trees'; the keys are family, n_estimators"):
        params_of({**EARLIER, "xgboost": {**EARLIER["xgboost"], "trees": 3}}, "P.json")


def test_two_models_in_one_file_are_refused() -> None:
    """Neither of them wins silently."""
    with pytest.raises(ConfigError, match=r"P\.json: 'model' and 'xgboost' both say which model"):
        params_of({**DEFAULT_PARAMS, "xgboost": EARLIER["xgboost"]}, "P.json")


@pytest.mark.parametrize("model", [{"n_estimators": 3}, {"family": "crystal ball"}, {"family": 3}])
def test_an_unknown_family_is_refused_with_those_there_are(model: dict[str, Any]) -> None:
    """Also one that is not named at all."""
    with pytest.raises(ConfigError, match=r"P.json: 'model' must name its family; there are xgboost, "):
        params_of({**DEFAULT_PARAMS, "model": model}, "P.json")


def test_what_is_hashed_of_xgboost_is_what_was_hashed_before() -> None:
    """Word for word the text of before there were families, so that what was counted then is still counted."""
    text = json.dumps(params_of(DEFAULT_PARAMS, "x").identity(), sort_keys=True, default=str)
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == "20a5a8c69600a110"
    assert params_of({**DEFAULT_PARAMS, "model": {"family": "naive"}}, "x").identity()["model"] == {
        "family": "naive"
    }


def test_earlier_names_of_presets_are_the_same_configuration() -> None:
    """What was counted under them is counted still, whichever name a file says now; the file keeps its own word."""
    now, then = params_of(DEFAULT_PARAMS, "x"), params_of({**DEFAULT_PARAMS, "features": "seed"}, "x")
    assert now.identity() == then.identity()
    assert (now.as_json()["features"], then.as_json()["features"]) == ("reference", "seed")


def test_forecast_hours_reach_the_horizon_at_least() -> None:
    """A distribution that ends before what is traded is refused; one that is not asked for is as long as the horizon."""
    naive = {**DEFAULT_PARAMS, "horizon_hours": 4}
    assert params_of({**naive, "model": {"family": "naive"}}, "x").forecast_hours == 4
    assert params_of({**naive, "model": {"family": "naive", "forecast_hours": 24}}, "x").forecast_hours == 24
    with pytest.raises(ConfigError, match=r"forecast_hours \(3\) must be at least horizon_hours \(4\)"):
        params_of({**naive, "model": {"family": "naive", "forecast_hours": 3}}, "x")


def test_a_later_key_of_a_family_changes_no_hash_at_its_default() -> None:
    """What was counted before the key came is still the same configuration."""
    naive = params_of({**DEFAULT_PARAMS, "model": {"family": "naive"}}, "x")
    assert naive.as_json()["model"] == {"family": "naive"}
    further = params_of({**DEFAULT_PARAMS, "model": {"family": "naive", "forecast_hours": 24}}, "x")
    assert further.as_json()["model"] == {"family": "naive", "forecast_hours": 24}
    assert params_of(further.as_json(), "x") == further
