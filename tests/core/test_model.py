"""Models and their cards: equal rows give equal bytes, and nothing corrupt or foreign is served."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.bars_made import bars_made
from trader.core.errors import ConfigError, DataError
from trader.core.features import preset_named
from trader.core.model import (
    ModelCard,
    TrainingSet,
    card_for,
    labels_between,
    predict_defined,
    read_card,
    select,
    training_set,
)
from trader.core.params import DEFAULT_PARAMS, Params, params_of
from trader.core.types import HOUR_MS, REQUIRED_COLUMNS, Bars, no_bars
from trader.core.windows import Refit, refit_of
from trader.forecasters.xgboost import XGBoostForecaster

GAPS = (700, 701, 1_200)
BARS = bars_made(2_400, 5, missing=GAPS)
START = BARS.first + 2_000 * HOUR_MS


def params(**changes: Any) -> Params:
    """Ten small trees over 40 days."""
    trees = {**DEFAULT_PARAMS["xgboost"], "n_estimators": 10, "gamma": 0}
    return params_of({**DEFAULT_PARAMS, "xgboost": trees, "look_back_days": 40, **changes}, "a test")


def fitted() -> tuple[bytes, ModelCard, TrainingSet, Refit]:
    """A model, its card and its rows."""
    window = refit_of(params(), 0, START)
    rows = training_set(BARS, window, params())
    model = XGBoostForecaster().fit(rows.X, rows.y, params())
    card = card_for(model, "xgboost", params(), window, rows, "1.2.3")
    return model, card, rows, window


MODEL, CARD, ROWS, WINDOW = fitted()


def test_a_card_survives_being_written() -> None:
    """Bytes and back, checked against the model."""
    assert read_card(CARD.to_bytes(), MODEL, "here") == CARD
    assert CARD.model_id.startswith("20210325T09-")
    assert CARD.valid_from == START


def test_equal_rows_give_equal_bytes() -> None:
    """Fitting again gives the same model, and the same id."""
    assert fitted()[:2] == (MODEL, CARD)
    other = XGBoostForecaster().fit(ROWS.X, ROWS.y, params(seed=8))
    assert other != MODEL


def test_a_model_predicts_the_same_with_and_without_its_bytes() -> None:
    """In memory, stored and loaded: the same scores, to the bit."""
    forecaster = XGBoostForecaster()
    stored = forecaster.load(MODEL, "here").predict(ROWS.X)
    assert forecaster.fitted(ROWS.X, ROWS.y, params()).predict(ROWS.X).tobytes() == stored.tobytes()
    assert stored.dtype == np.float32
    assert ((stored > 0) & (stored < 1)).all()


@pytest.mark.parametrize("cut", [0, 1, 100, len(MODEL) // 2, len(MODEL) - 1])
def test_a_corrupt_model_is_refused(cut: int) -> None:
    """Cut short, its bytes no longer match the card, and XGBoost's own reader is never asked."""
    with pytest.raises(DataError, match=r"here: the model's bytes do not match its card.*trader retrain"):
        read_card(CARD.to_bytes(), MODEL[:cut], "here")


@pytest.mark.parametrize("foreign", [b"", b"{}", b"\x80\x04\x95", b"PAR1", MODEL[:200], b"\x00" * 64])
def test_bytes_that_are_no_model_are_refused(foreign: bytes) -> None:
    """A pickle, a table, nothing: an error that names the source, not a crash."""
    with pytest.raises(DataError, match="here: not an XGBoost model"):
        XGBoostForecaster().load(foreign, "here")


def test_no_truncated_model_ends_the_process(tmp_path: Path) -> None:
    """Three hundred lengths, in a process of their own: each is refused by name, and the process lives to say so."""
    (tmp_path / "model.ubj").write_bytes(MODEL)
    code = (
        "import resource, sys\n"
        "resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))\n"
        "from trader.core.errors import DataError\n"
        "from trader.forecasters.xgboost import XGBoostForecaster\n"
        "model, refused = open(sys.argv[1], 'rb').read(), 0\n"
        "for n in [*range(100), *range(100, len(model), max(1, len(model) // 200))]:\n"
        "    try:\n"
        "        XGBoostForecaster().load(model[:n], 'here')\n"
        "        print('taken', n)\n"
        "    except DataError:\n"
        "        refused += 1\n"
        "print(refused > 290)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "model.ubj")], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "True\n"), done.stderr


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[]", b"null", b"7", b"{}", b'{"schema": "model-card/1"}', b"\xff\xfe"]
)
def test_what_is_no_card_is_refused(text: bytes) -> None:
    """An error that says what to do."""
    with pytest.raises(DataError, match=r"here: not a model card .*trader retrain"):
        read_card(text, MODEL, "here")


def changed(**values: Any) -> bytes:
    """The card with other values."""
    return replace(CARD, **values).to_bytes()


def test_a_card_of_another_schema_is_refused() -> None:
    """The message says which this program reads."""
    with pytest.raises(DataError, match=r"schema 'model-card/9', this program reads 'model-card/1'"):
        read_card(changed(schema="model-card/9"), MODEL, "here")


def test_a_card_with_an_unknown_key_is_refused() -> None:
    """A later program's card is not half understood."""
    more = json.dumps({**json.loads(CARD.to_bytes()), "mood": 1}).encode()
    with pytest.raises(DataError, match="not a model card"):
        read_card(more, MODEL, "here")


def test_a_model_of_other_feature_code_is_refused() -> None:
    """Features computed by other code are other features."""
    with pytest.raises(DataError, match="computed by other code"):
        read_card(changed(features_hash="0" * 16), MODEL, "here")
    with pytest.raises(DataError, match="computed by other code"):
        read_card(changed(features="seed_code"), MODEL, "here")
    with pytest.raises(ConfigError, match="no preset 'mine'"):
        read_card(changed(features="mine"), MODEL, "here")


def test_another_model_under_this_card_is_refused() -> None:
    """Exchanged bytes do not match."""
    other = XGBoostForecaster().fit(ROWS.X, 1 - ROWS.y, params())
    with pytest.raises(DataError, match="do not match its card"):
        read_card(CARD.to_bytes(), other, "here")


def test_training_sees_no_bar_after_what_was_known() -> None:
    """With every later bar poisoned, or gone, the rows are the same to the bit."""
    known_at = WINDOW.serve_from - HOUR_MS
    spoiled = {name: getattr(BARS, name).copy() for name in REQUIRED_COLUMNS}
    for values in spoiled.values():
        values[BARS.row(known_at) + 1 :] = np.nan
    for bars in (replace(BARS, **spoiled), BARS.until(known_at)):
        assert training_set(bars, WINDOW, params()).data_hash == ROWS.data_hash


def test_training_leaves_out_flagged_hours_and_those_before_them() -> None:
    """Of 40 days, the hours without a bar and the hours whose outcome they would be are missing."""
    inside = [g for g in GAPS if WINDOW.train_from <= BARS.close_time[g] <= WINDOW.train_until]
    assert inside == [1_200]
    assert len(ROWS.y) == 40 * 24 - 2
    assert set(np.unique(ROWS.y)) == {0.0, 1.0}


def test_one_outcome_alone_is_no_training_set() -> None:
    """A model needs both; the message says how many rows there were."""
    X = np.zeros((5, 9), np.float32)
    with pytest.raises(DataError, match=r"here: 4 labelled rows .*both outcomes.*look_back_days"):
        select(X, np.array([1, 1, 1, 1, np.nan]), WINDOW, "here")
    with pytest.raises(DataError, match="here: 0 labelled rows"):
        select(np.full((5, 9), np.nan, np.float32), np.ones(5), WINDOW, "here")


PLAIN = params_of(DEFAULT_PARAMS, "the defaults")


def test_labels_outside_the_bars_are_unknown() -> None:
    """Asked for more hours than there are, the rest is NaN."""
    got = labels_between(BARS, PLAIN, BARS.first - 2 * HOUR_MS, BARS.last + 3 * HOUR_MS)
    assert len(got) == len(BARS) + 4
    assert np.isnan(got[[0, 1, -1, -2, -3]]).all()
    assert np.isnan(labels_between(no_bars("X"), PLAIN, 0, 5 * HOUR_MS)).all()


def test_an_undefined_row_has_no_score() -> None:
    """A NaN feature gives NaN, and the other rows keep their scores."""
    predictor = XGBoostForecaster().load(MODEL, "here")
    X = ROWS.X[:6].copy()
    X[2, 4] = np.nan
    got = predict_defined(predictor, X)
    assert np.isnan(got).tolist() == [False, False, True, False, False, False]
    assert got[3:].tobytes() == predictor.predict(ROWS.X[3:6]).tobytes()
    assert np.isnan(predict_defined(predictor, np.full((2, 9), np.nan, np.float32))).all()


def test_presets_name_the_columns_of_the_card() -> None:
    """The card lists what the matrix holds."""
    assert CARD.columns == list(preset_named("seed").columns)
    assert isinstance(BARS, Bars)
