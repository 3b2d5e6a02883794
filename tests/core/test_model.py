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

from tests.support.bars_made import bars_made
from tests.support.rows_made import fit, panel_of
from trader.core.errors import ConfigError, DataError
from trader.core.model import UPGRADED_FROM, ModelCard, card_for, id_of, read_card
from trader.core.params import DEFAULT_PARAMS, Params, params_of
from trader.core.presets import preset_named
from trader.core.training import Training, labels_between, training_of, usable_rows
from trader.core.types import HOUR_MS, REQUIRED_COLUMNS, Bars, no_bars
from trader.core.windows import Refit, refit_of
from trader.forecasters.xgboost import XGBoostForecaster

GAPS = (700, 701, 1_200)
BARS = bars_made(2_400, 5, missing=GAPS)
START = BARS.first + 2_000 * HOUR_MS


def params(**changes: Any) -> Params:
    """Ten small trees over 40 days."""
    trees = {**DEFAULT_PARAMS["model"], "n_estimators": 10, "gamma": 0}
    return params_of({**DEFAULT_PARAMS, "model": trees, "look_back_days": 40, **changes}, "a test")


def fitted() -> tuple[bytes, ModelCard, Training, Refit]:
    """A model, its card and its rows."""
    window = refit_of(params(), 0, START)
    forecaster = XGBoostForecaster()
    rows = training_of(BARS, window, params(), forecaster.traits)
    model = forecaster.fit(rows.panel, rows.y, params(), horizon=1, until=rows.until, seed=params().seed)
    card = card_for(model, forecaster, params(), window, rows, "1.2.3")
    return model, card, rows, window


MODEL, CARD, ROWS, WINDOW = fitted()
_, LABELS = usable_rows(ROWS.panel, ROWS.y, ROWS.until)


def read(text: bytes, model: bytes = MODEL) -> ModelCard:
    """The card, asked for by the id that it should have."""
    return read_card(text, model, CARD.model_id, "here")


def test_a_card_survives_being_written() -> None:
    """Bytes and back, checked against the model."""
    assert read(CARD.to_bytes()) == CARD
    assert CARD.model_id.startswith("20210325T09-")
    assert CARD.valid_from == START


def test_equal_rows_give_equal_bytes() -> None:
    """Fitting again gives the same model, and the same id."""
    assert fitted()[:2] == (MODEL, CARD)
    other = fit(XGBoostForecaster(), ROWS.X, LABELS, params(seed=8))
    assert other != MODEL


def test_a_model_predicts_the_same_with_and_without_its_bytes() -> None:
    """In memory, stored and loaded: the same scores, to the bit."""
    forecaster = XGBoostForecaster()
    stored = forecaster.load(MODEL, "here").scores(ROWS.X)
    told = {"horizon": 1, "until": ROWS.until, "seed": params().seed}
    assert (
        forecaster.fitted(ROWS.panel, ROWS.y, params(), **told).scores(ROWS.X).tobytes() == stored.tobytes()
    )
    assert stored.dtype == np.float32
    assert ((stored > 0) & (stored < 1)).all()


@pytest.mark.parametrize("cut", [0, 1, 100, len(MODEL) // 2, len(MODEL) - 1])
def test_a_corrupt_model_is_refused(cut: int) -> None:
    """Cut short, its bytes no longer match the card, and XGBoost's own reader is never asked."""
    with pytest.raises(DataError, match=r"here: the model's bytes do not match its card.*trader retrain"):
        read(CARD.to_bytes(), MODEL[:cut])


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
        read(text)


def changed(**values: Any) -> bytes:
    """The card with other values."""
    return replace(CARD, **values).to_bytes()


def read_again(**values: Any) -> ModelCard:
    """A card that was written with these values, under the id that they give."""
    card = replace(CARD, **values)
    card = replace(card, model_id=id_of(card))
    return read_card(card.to_bytes(), MODEL, card.model_id, "here")


@pytest.mark.parametrize(
    "values", [{"rows": 1}, {"symbols": ["ETHUSDT"]}, {"family": "naive"}, {"upgraded_from": UPGRADED_FROM}]
)
def test_a_card_that_was_changed_is_refused(values: dict[str, Any]) -> None:
    """Its id digests all that it says, so another symbol or family under the same id is found."""
    with pytest.raises(DataError, match=r"here: the card is not the one that .* names"):
        read(changed(**values))
    with pytest.raises(DataError, match="is not the one that 20210325T09-0123456789ab names"):
        read_card(CARD.to_bytes(), MODEL, "20210325T09-0123456789ab", "here")


def test_two_cards_of_one_model_have_two_ids() -> None:
    """The bytes are the same and what the cards say is not: neither takes the other's place."""
    other = card_for(MODEL, XGBoostForecaster(), params(enter_edge=0.2), WINDOW, ROWS, "1.2.3")
    assert other.model_sha256 == CARD.model_sha256
    assert other.model_id != CARD.model_id


def test_an_upgraded_card_keeps_the_id_that_its_journal_names() -> None:
    """The hour and the digest of the model's bytes, as it was before there were cards that name their symbols."""
    card = replace(CARD, upgraded_from=UPGRADED_FROM, model_id=f"20210325T09-{CARD.model_sha256[:12]}")
    assert read_card(card.to_bytes(), MODEL, card.model_id, "here") == card


def test_a_model_replaced_with_its_card_is_refused() -> None:
    """Another model and its card, which fit each other, under this model's name: in whole, with the name written into the card,
    and passed off as an upgraded one."""
    bytes_ = fit(XGBoostForecaster(), ROWS.X, 1 - LABELS, params())
    other = card_for(bytes_, XGBoostForecaster(), params(), WINDOW, ROWS, "1.2.3")
    renamed = replace(other, model_id=CARD.model_id)
    for card in (other, renamed, replace(renamed, upgraded_from=UPGRADED_FROM)):
        with pytest.raises(DataError, match=rf"here: the card is not the one that {CARD.model_id} names"):
            read(card.to_bytes(), bytes_)


NO_FIELD: dict[str, list[Any]] = {
    "valid_from": ["x", None, 1.5, -1, 10**30],
    "symbols": [None, "BTCUSDT", [1]],
    "params": [[], 7],
    "ranges": [{"rsi": "x"}, []],
    "rows": [True, "9"],
    "family": [None, ["xgboost"]],
    "reason": [7],
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, it) for name, values in NO_FIELD.items() for it in values]
)
def test_a_card_whose_field_is_of_another_kind_is_refused(name: str, value: Any) -> None:
    """A text for a time, a number for symbols: an error with the way out, before anything is done with it."""
    told = json.dumps({**json.loads(CARD.to_bytes()), name: value}).encode()
    with pytest.raises(DataError, match=r"here: not a model card \(.*trader retrain"):
        read(told)


def test_a_card_that_nests_without_end_is_refused() -> None:
    """As deep as a parser goes, and deeper."""
    for depth in (300, 900, 100_000):
        nested = b"[" * depth + b"]" * depth
        with pytest.raises(DataError, match=r"here: (not a model card|the card is not the one)"):
            read(
                CARD.to_bytes()
                .replace(b'"reason"', b'"drift_limits": {}, "reason"')
                .replace(b'"gap_hours": 1', b'"gap_hours": ' + nested)
            )


def test_a_card_of_another_schema_is_refused() -> None:
    """The message says which this program reads."""
    with pytest.raises(DataError, match=r"schema 'model-card/9', this program reads 'model-card/2'"):
        read(changed(schema="model-card/9"))


def test_a_card_with_an_unknown_key_is_refused() -> None:
    """A later program's card is not half understood."""
    more = json.dumps({**json.loads(CARD.to_bytes()), "mood": 1}).encode()
    with pytest.raises(DataError, match="not a model card"):
        read(more)


def test_a_model_of_other_feature_code_is_refused() -> None:
    """Features computed by other code are other features."""
    with pytest.raises(DataError, match="computed by other code"):
        read_again(features_hash="0" * 16)
    with pytest.raises(DataError, match="computed by other code"):
        read_again(features="seed_code")
    with pytest.raises(ConfigError, match="no preset 'mine'"):
        read_again(features="mine")


def test_another_model_under_this_card_is_refused() -> None:
    """Exchanged bytes do not match."""
    other = fit(XGBoostForecaster(), ROWS.X, 1 - LABELS, params())
    with pytest.raises(DataError, match="do not match its card"):
        read(CARD.to_bytes(), other)


def test_training_sees_no_bar_after_what_was_known() -> None:
    """With every later bar poisoned, or gone, the rows are the same to the bit."""
    known_at = WINDOW.serve_from - HOUR_MS
    spoiled = {name: getattr(BARS, name).copy() for name in REQUIRED_COLUMNS}
    for values in spoiled.values():
        values[BARS.row(known_at) + 1 :] = np.nan
    for bars in (replace(BARS, **spoiled), BARS.until(known_at)):
        assert training_of(bars, WINDOW, params(), XGBoostForecaster.traits).data_hash == ROWS.data_hash


def test_training_leaves_out_flagged_hours_and_those_before_them() -> None:
    """Of 40 days, the hours without a bar and the hours whose outcome they would be are missing."""
    inside = [g for g in GAPS if WINDOW.train_from <= BARS.close_time[g] <= WINDOW.train_until]
    assert inside == [1_200]
    assert ROWS.rows == len(LABELS) == 40 * 24 - 2
    assert set(np.unique(LABELS)) == {0.0, 1.0}


def test_one_outcome_alone_is_no_training_set() -> None:
    """A model needs both; the message says how many rows there were."""
    X = np.zeros((5, 9), np.float32)
    last = int(panel_of(X).close_time[-1])
    with pytest.raises(DataError, match=r"BTCUSDT: 4 labelled rows .*both outcomes.*look_back_days"):
        usable_rows(panel_of(X), np.array([[1, 1, 1, 1, np.nan]]), last)
    with pytest.raises(DataError, match="BTCUSDT: 0 labelled rows"):
        usable_rows(panel_of(np.full((5, 9), np.nan, np.float32)), np.ones((1, 5)), last)


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
    panel = panel_of(X, BARS.symbol)
    got = predictor.predict(panel, panel.close_time).p_up
    assert np.isnan(got).tolist() == [False, False, True, False, False, False]
    assert got[3:].tobytes() == predictor.scores(ROWS.X[3:6]).tobytes()
    none = panel_of(np.full((2, 9), np.nan, np.float32), BARS.symbol)
    assert np.isnan(predictor.predict(none, none.close_time).p_up).all()


def test_presets_name_the_columns_of_the_card() -> None:
    """The card lists what the matrix holds."""
    assert CARD.columns == list(preset_named("reference").columns)
    assert isinstance(BARS, Bars)
