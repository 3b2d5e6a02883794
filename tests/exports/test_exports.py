"""Exports of published models: proved, kept beside the model, loaded, compared, refused where they are not what was proved."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest

from tests.exports.conftest import START, Published
from tests.support.fakes import MemoryStore
from tests.support.rows_made import panel_of
from trader.app.exports import (
    compare,
    export_model,
    key_of,
    load_exported,
    proof_key_of,
    stored_forms,
)
from trader.app.journal import Journal
from trader.app.model_alias import card_named
from trader.app.retrain import load_model
from trader.app.store_check import check
from trader.core.errors import ConfigError, DataError
from trader.core.export_scene import facts_for, scene_of
from trader.core.exports import ExportFacts, facts_of
from trader.core.params import params_of
from trader.core.types import HOUR_MS
from trader.forecasters import onnx_runtime
from trader.forecasters.onnx_runtime import OnnxRowPredictor
from trader.forecasters.registry import export_families, forecaster_of


def test_what_is_kept_says_what_the_model_says(published: Published) -> None:
    """Every hour from the first that the model serves, by the predictor that is loaded from the store and by the model's own."""
    journal, card = published.journal, published.card
    found = export_model(journal, card, "onnx", published.bars)
    assert found.is_stored
    assert found.proof.real_rows == 2_000
    assert found.proof.splits > 50
    loaded = load_exported(published.journal, card, "onnx")
    native = forecaster_of(card.family).load(load_model(journal, card.model_id)[1], "a test")
    scene = scene_of(card, forecaster_of(card.family).traits, published.bars)
    ours = native.predict(scene.panel, scene.hours).p_up
    theirs = loaded.predict(scene.panel, scene.hours).p_up
    assert (np.isnan(ours) == np.isnan(theirs)).all()
    assert np.nanmax(np.abs(ours - theirs)) <= 1e-6


def test_the_file_says_which_model_it_is(published: Published) -> None:
    """Model, card, family, symbols, features in their order and the horizon, as its metadata and as the card has them."""
    journal, card = published.journal, published.card
    export_model(journal, card, "onnx")
    loaded = load_exported(journal, card, "onnx")
    assert isinstance(loaded, OnnxRowPredictor)
    assert loaded.facts == facts_for(card)
    assert loaded.facts.columns == tuple(card.columns)
    assert (loaded.facts.model_id, loaded.facts.horizon_hours) == (card.model_id, 1)
    said = loaded.session.get_modelmeta().custom_metadata_map
    assert json.loads(said["columns"]) == card.columns


def test_an_export_that_is_repeated_stays(published: Published) -> None:
    """The same bytes, proved again, with real rows or with drawn ones alone; objects of the store are created once."""
    first = export_model(published.journal, published.card, "onnx")
    assert first.proof.real_rows == 0
    kept = dict(published.store.objects)
    again = export_model(published.journal, published.card, "onnx", published.bars)
    assert again.data == first.data
    assert published.store.objects == kept


def test_without_an_export_there_is_nothing_to_load_or_compare(published: Published) -> None:
    """The error names the command that writes one."""
    journal, card = published.journal, published.card
    with pytest.raises(
        DataError, match=f"export-onnx is not in the store. Write it: trader export {card.model_id} --f"
    ):
        load_exported(journal, card, "onnx")
    assert stored_forms(journal, card) == ()
    assert compare(journal, card) == []


def test_a_changed_file_is_told_and_not_loaded(published: Published) -> None:
    """By whoever loads it, by the comparison, and by `trader store verify`; the next export puts it right."""
    journal, card = published.journal, published.card
    good = export_model(journal, card, "onnx").data
    published.store.put(key_of(card, "onnx"), good[:-1] + bytes([good[-1] ^ 1]))
    message = "is not the file that was proved; it was changed or replaced"
    with pytest.raises(DataError, match=message):
        load_exported(journal, card, "onnx")
    assert [message in it.message for it in compare(journal, card)] == [True]
    assert [message in it for it in check(published.journal).problems] == [True]
    export_model(journal, card, "onnx")
    assert compare(journal, card) == []
    assert check(published.journal).problems == []


def test_a_file_with_a_forged_proof_is_seen_by_the_comparison(published: Published) -> None:
    """The hash is that of the file, but the file is another model's trees."""
    journal, card = published.journal, published.card
    export_model(journal, card, "onnx")
    other = facts_for(card)
    forecaster = forecaster_of(card.family)
    X = np.random.default_rng(1).normal(size=(300, len(card.columns))).astype(np.float32)
    params = params_of(card.params, "a test")
    strange = forecaster.dump(forecaster.train(X, (X[:, 0] > 0) * 1.0, params, 1, ["BTCUSDT"]))  # type: ignore[attr-defined]
    data = forecaster.export(strange, "onnx", other)  # type: ignore[attr-defined]
    said = json.loads(published.store.objects[proof_key_of(card, "onnx")])
    said["sha256"] = hashlib.sha256(data).hexdigest()
    published.store.put(key_of(card, "onnx"), data)
    published.store.put(proof_key_of(card, "onnx"), json.dumps(said).encode())
    (found,) = compare(journal, card)
    assert "more than 1e-06 apart" in found.message


@pytest.mark.parametrize("lost", [key_of, proof_key_of])
def test_half_an_export_is_none(published: Published, lost: object) -> None:
    """As a process that was killed between the two objects leaves it, or a copy that lost one: told, and written again."""
    journal, card = published.journal, published.card
    export_model(journal, card, "onnx")
    key = lost(card, "onnx")  # type: ignore[operator]
    del published.store.objects[key]
    with pytest.raises(DataError, match=f"{key} is missing. Write it: trader export"):
        load_exported(journal, card, "onnx")
    assert len(compare(journal, card)) == 1
    export_model(journal, card, "onnx")
    assert compare(journal, card) == []


@pytest.mark.parametrize("text", [b"no JSON", b"[]", b'{"schema": "export-proof/9"}'])
def test_a_proof_that_cannot_be_read_is_none(published: Published, text: bytes) -> None:
    """It is named, and the next export writes another."""
    export_model(published.journal, published.card, "onnx")
    published.store.put(proof_key_of(published.card, "onnx"), text)
    with pytest.raises(DataError, match="does not hold 'export-proof/1'"):
        load_exported(published.journal, published.card, "onnx")
    export_model(published.journal, published.card, "onnx")
    load_exported(published.journal, published.card, "onnx")


def test_a_proof_of_another_model_is_none(published: Published) -> None:
    """Its file may be sound, but not of this model."""
    export_model(published.journal, published.card, "onnx")
    key = proof_key_of(published.card, "onnx")
    said = json.loads(published.store.objects[key])
    published.store.put(key, json.dumps({**said, "model_sha256": "0" * 64}).encode())
    with pytest.raises(DataError, match="is the proof of another model"):
        load_exported(published.journal, published.card, "onnx")


def test_a_family_without_the_form_says_which_have_it() -> None:
    """Exit 2, and nothing is stored."""
    given = Published("naive")
    with pytest.raises(
        ConfigError, match="'naive' has no form 'onnx'; these families have it: xgboost, lightgbm, tft"
    ):
        export_model(given.journal, given.card, "onnx")
    with pytest.raises(ConfigError, match=r"'naive' has no form 'torchscript'; these families have it: tft$"):
        export_model(given.journal, given.card, "torchscript")
    assert not [key for key in given.store.objects if "export" in key]
    assert export_families("torchscript") == ("tft",)


@pytest.mark.parametrize(("library", "extra"), [("onnx", "export"), ("onnxruntime", "onnx")])
def test_a_missing_library_names_its_extra(library: str, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the command that installs it."""
    monkeypatch.setattr(onnx_runtime, "find_spec", lambda name: None if name == library else object())
    given = Published("xgboost")
    with pytest.raises(ConfigError, match=rf"{library} is not installed. Install it: .*'.\[{extra}\]'"):
        export_model(given.journal, given.card, "onnx")


@pytest.mark.parametrize("data", [b"", b"no model", b"\x08\x08" * 40])
def test_bytes_that_are_no_onnx_are_refused(data: bytes, published: Published) -> None:
    """By their source, with the way out."""
    forecaster = forecaster_of(published.card.family)
    with pytest.raises(DataError, match=r"^here: not an exported model .*Write it again: trader export"):
        forecaster.load_exported(data, "onnx", "here")  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("name", "value"),
    [("columns", "[1]"), ("columns", "x"), ("horizon_hours", "one"), ("schema", "export/9")],
)
def test_metadata_that_says_something_else_is_refused(name: str, value: str) -> None:
    """A file of another program, or of another version."""
    facts = ExportFacts("id", "a", "b", "xgboost", ("BTCUSDT",), "f", ("x", "y"), 1)
    texts = facts.as_texts()
    assert facts_of(texts, "here") == facts
    with pytest.raises(DataError, match=r"^here: not an exported model"):
        facts_of({**texts, name: value}, "here")
    with pytest.raises(DataError, match=r"^here: not an exported model"):
        facts_of({it: text for it, text in texts.items() if it != name}, "here")


def test_champion_and_challenger_are_names_of_models() -> None:
    """The champion serves the hour; the challenger waits for a later one; before the first hour there is no champion."""
    given = Published("xgboost")
    journal, card = given.journal, given.card
    assert card_named(journal, "champion", START) == card
    assert card_named(journal, card.model_id[:11], START) == card
    with pytest.raises(ConfigError, match="there is no challenger"):
        card_named(journal, "challenger", START)
    assert card_named(journal, "challenger", START - HOUR_MS) == card
    with pytest.raises(ConfigError, match=f"no model serves .*; the first, {card.model_id}, serves from"):
        card_named(journal, "champion", START - HOUR_MS)
    with pytest.raises(ConfigError, match="no model yet"):
        card_named(Journal(MemoryStore(), "BTCUSDT"), "champion", START)


def test_a_row_with_a_missing_feature_gets_no_p_up(published: Published) -> None:
    """As the bot has it, whatever the trees would say; a panel of another symbol, or of fewer features, is refused."""
    journal, card = published.journal, published.card
    export_model(journal, card, "onnx")
    loaded = load_exported(journal, card, "onnx")
    X = np.zeros((3, len(card.columns)), np.float32)
    X[1, 4] = np.nan
    panel = panel_of(X)
    assert np.isnan(loaded.predict(panel, panel.close_time).p_up).tolist() == [False, True, False]
    with pytest.raises(DataError, match="says nothing about ETHUSDT"):
        loaded.predict(panel_of(X, "ETHUSDT"), panel.close_time)
    with pytest.raises(DataError, match="says nothing about rows of 3"):
        loaded.predict(panel_of(X[:, :3]), panel.close_time)
