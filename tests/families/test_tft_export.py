"""The Temporal Fusion Transformer as ONNX and TorchScript: proved, loaded, refused where it is another network."""

from __future__ import annotations

import hashlib
import io
import json
import warnings
from dataclasses import replace
from functools import lru_cache

import numpy as np
import onnx
import pytest
import torch

from tests.families.test_tft import GAPS, params_for, scene
from tests.support.bars_made import bars_made
from trader.core.errors import ConfigError, DataError, UnequalExport
from trader.core.export_scene import drawn_bars
from trader.core.exports import ExportFacts, ExportForm, ProofScene
from trader.core.panel import Panel
from trader.forecasters import onnx_runtime
from trader.forecasters.contract_scene import HOURS, SOURCE, Scene
from trader.forecasters.tft import TFTForecaster
from trader.forecasters.tft_export import drawn_windows

FORMS: tuple[ExportForm, ...] = ("onnx", "torchscript")
FAMILY = TFTForecaster()


def facts() -> ExportFacts:
    """Those of a card of the scene's model."""
    model = scene().model
    return ExportFacts(
        "a-model", hashlib.sha256(model).hexdigest(), "card", "tft", (scene().bars.symbol,), "", (), 1
    )


def asked(hours: int = 40) -> ProofScene:
    """The newest hours of the scene, with the gaps among them."""
    panel = Panel.of([scene().bars])
    return ProofScene(panel, panel.close_time[-hours:], is_real=True, drawn=np.zeros((0, 0), np.float32))


@lru_cache
def exported(form: ExportForm) -> bytes:
    """The scene's model in a form."""
    return FAMILY.export(scene().model, form, facts())


@pytest.mark.parametrize("form", FORMS)
def test_a_form_is_proved(form: ExportForm) -> None:
    """P(up) and quantiles of real and of drawn windows, one by one and all at once, within the stated tolerance."""
    proof = FAMILY.prove(scene().model, exported(form), form, facts(), asked())
    assert proof.real_rows == 40
    assert proof.rows > 200
    assert 0 < proof.quantile_difference <= proof.quantile_tolerance == 1e-6
    assert proof.p_up_difference <= proof.p_up_tolerance == 1e-6


@pytest.mark.parametrize("form", FORMS)
def test_a_form_predicts_what_the_network_does(form: ExportForm) -> None:
    """A panel's hours, those without a context among them; one hour says the same alone."""
    panel = Panel.of([bars_made(200, 5, missing=(60, 61, 120), symbol=scene().bars.symbol)])
    ours = FAMILY.load(scene().model, SOURCE).predict(panel, panel.close_time)
    predictor = FAMILY.load_exported(exported(form), form, "here")
    theirs = predictor.predict(panel, panel.close_time)
    assert (np.isnan(ours.p_up) == np.isnan(theirs.p_up)).all()
    assert np.isnan(ours.p_up).any()
    assert np.nanmax(np.abs(ours.p_up - theirs.p_up)) <= 1e-6
    assert ours.quantiles is not None
    assert theirs.quantiles is not None
    assert np.allclose(ours.quantiles, theirs.quantiles, rtol=1e-4, atol=1e-8, equal_nan=True)
    alone = predictor.predict(panel, panel.close_time[150:151])
    assert alone.p_up[0] == theirs.p_up[150]


def test_onnx_needs_no_torch_and_says_what_it_is() -> None:
    """The facts of the card and the network's head, as metadata; equal bytes when it is written again."""
    model = onnx.load_from_string(exported("onnx"))
    said = {it.key: it.value for it in model.metadata_props}
    assert said["model_id"] == "a-model"
    assert json.loads(said["head"])["encoder_hours"] == 24
    assert [it.name for it in model.graph.input] == ["symbol", "observed", "known"]
    assert FAMILY.export(scene().model, "onnx", facts()) == exported("onnx")


def test_torchscript_says_that_it_is_legacy() -> None:
    """In its own metadata."""
    extra = {"export.json": ""}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.load(io.BytesIO(exported("torchscript")), _extra_files=extra)
    assert "deprecated" in json.loads(extra["export.json"])["legacy"]


def changed(name: str, value: float) -> bytes:
    """The ONNX file with one number of one weight moved."""
    model = onnx.load_from_string(exported("onnx"))
    (weight,) = (it for it in model.graph.initializer if it.name.endswith(name))
    numbers = onnx.numpy_helper.to_array(weight).copy()
    numbers.flat[0] += value
    weight.CopyFrom(onnx.numpy_helper.from_array(numbers, weight.name))
    return bytes(model.SerializeToString())


def test_a_weight_that_is_off_is_refused() -> None:
    """The quantile, the window, both numbers and the tolerance; no P(up) is close enough to hide it."""
    with pytest.raises(
        UnequalExport, match=r"a-model: at .* says quantile 0\.\d+ of hour 1, .* apart. Nothing was written"
    ):
        FAMILY.prove(scene().model, changed("output_bias", 1e-3), "onnx", facts(), asked())


@pytest.mark.parametrize("form", FORMS)
def test_a_file_of_another_network_is_refused(form: ExportForm) -> None:
    """Of other weights, and of another head."""
    other = Scene.of(FAMILY, params_for(epochs=1), bars_made(HOURS, 6, missing=GAPS))
    data = FAMILY.export(other.model, form, facts())
    with pytest.raises(UnequalExport, match=r"apart\. Nothing was written"):
        FAMILY.prove(scene().model, data, form, facts(), asked(5))
    with pytest.raises(UnequalExport, match="its metadata says"):
        FAMILY.prove(scene().model, exported(form), form, replace(facts(), model_id="b"), asked(5))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("data", [b"", b"nothing of the kind"])
def test_bytes_that_are_no_such_file_are_refused(form: ExportForm, data: bytes) -> None:
    """By their source, with the way out."""
    with pytest.raises(DataError, match=r"^here: not an exported model .*Write it again: trader export"):
        FAMILY.load_exported(data, form, "here")


def test_another_symbol_is_refused() -> None:
    """As by the network itself."""
    predictor = FAMILY.load_exported(exported("onnx"), "onnx", "here")
    panel = Panel.of([drawn_bars("OTHERUSDT", 100)])
    with pytest.raises(DataError, match="says nothing about OTHERUSDT"):
        predictor.predict(panel, panel.close_time[-1:])


def test_drawn_windows_are_within_what_the_network_reads() -> None:
    """No number beyond the largest, of a window that has a scale."""
    windows = drawn_windows(FAMILY.load(scene().model, SOURCE).head, 30, 0)
    assert np.abs(windows.observed).max() == 10
    assert (windows.scale > 0).all()


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With its extra."""
    monkeypatch.setattr(onnx_runtime, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"onnx is not installed. Install it: .*\[export\]"):
        FAMILY.export(scene().model, "onnx", facts())
