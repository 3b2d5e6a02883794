"""`trader export` and `backtest time-inference`, as a person calls them."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import onnxruntime as ort  # type: ignore[import-untyped]  # it has none
import pytest

from tests.support.rig import command


@pytest.fixture
def store(week: Path, tmp_path: Path) -> Path:
    """A store of three models, for this test alone."""
    shutil.copytree(week / "store", tmp_path / "store")
    return tmp_path / "store"


def test_a_champion_becomes_a_file_and_lies_beside_its_model(store: Path) -> None:
    """The counts of the proof as JSON, the file as it is stored, a session of another program, a store that holds together."""
    words = (
        "export",
        "champion",
        "--format",
        "onnx",
        "--out",
        "new/champion.onnx",
        "--store",
        "store",
        "--json",
    )
    told = json.loads(command("trader", *words, cwd=store.parent).stdout)
    data = (store.parent / "new" / "champion.onnx").read_bytes()
    assert told["sha256"] == hashlib.sha256(data).hexdigest()
    assert told["model_id"].startswith("20210311")
    assert data == (store / "models" / told["model_id"] / "export-onnx").read_bytes()
    assert (told["trees"], told["unreachable_splits"]) == (20, 0)
    assert told["rows"] > told["splits"] > 0
    assert told["p_up_difference"] <= told["p_up_tolerance"] == 1e-6
    session = ort.InferenceSession(data)
    (p_up,) = session.run(None, {"features": np.zeros((3, session.get_inputs()[0].shape[1]), np.float32)})
    assert p_up.shape == (3,)
    verified = command("trader", "store", "verify", "--store", "store", "--json", cwd=store.parent)
    assert json.loads(verified.stdout)["problems"] == []


def test_a_person_reads_what_was_compared(store: Path) -> None:
    """Within eighty columns; the newest collected hours are asked as well."""
    bars = store.parent / "data"
    bars.mkdir()
    for file in store.parent.glob("*.parquet"):
        shutil.copy(file, bars)
    done = command("trader", "export", "20210305", "--out", "m.onnx", "--store", "store", cwd=store.parent)
    assert "20210305T00" in done.stdout.splitlines()[0]
    assert "proved" in done.stdout.splitlines()[0]
    assert "20 with" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("champion", "--format", "torchscript"), "these families have it: tft"),
        (("challenger",), "there is no challenger"),
        (("2021",), "names 3 models"),
        (("champion", "--out", "."), "is a folder; name a file in it"),
    ],
)
def test_what_cannot_be_exported_says_why(store: Path, words: tuple[str, ...], said: str) -> None:
    """Exit 2, with the way out, and no file."""
    out = () if "--out" in words else ("--out", "m.onnx")
    done = command("trader", "export", *words, *out, "--store", "store", cwd=store.parent, check=False)
    assert done.returncode == 2, done.stdout + done.stderr
    assert said in done.stderr
    assert not (store.parent / "m.onnx").exists()


def test_a_changed_export_is_told_by_verify(store: Path) -> None:
    """The check of the store names the object and the command that writes it again."""
    command("trader", "export", "champion", "--out", "m.onnx", "--store", "store", cwd=store.parent)
    (file,) = store.glob("models/*/export-onnx")
    file.write_bytes(file.read_bytes() + b"x")
    done = command("trader", "store", "verify", "--store", "store", cwd=store.parent, check=False)
    assert done.returncode == 2
    assert "export-onnx is not the file that was proved" in done.stdout + done.stderr
    assert "trader export 2021" in done.stdout + done.stderr


def test_inference_is_timed_in_every_form(store: Path) -> None:
    """Native and ONNX at 1, 32 and 1,024 rows, each in a process of its own, with cold load and memory."""
    words = ("time-inference", "champion", "--store", "store", "--seconds", "0.05", "--json")
    rows = json.loads(command("backtest", *words, cwd=store.parent).stdout)
    assert [(it["form"], it["rows"]) for it in rows] == [
        (form, n) for form in ("native", "onnx") for n in (1, 32, 1_024)
    ]
    assert all(0 < it["median_us"] <= it["p99_us"] for it in rows)
    assert all(it["cold_load_ms"] > 0 and it["memory_mb"] > 10 and it["predict_us"] > 0 for it in rows)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("2021", "--store", "store"), "'2021' names 3 models"),
        (("nothing", "--store", "store"), "'nothing' names no model in store"),
        (("nothing", "--store", "nowhere"), "nowhere holds no models"),
        (("store",), "store is no folder of a model"),
    ],
)
def test_a_model_that_is_not_there_is_not_timed(store: Path, words: tuple[str, ...], said: str) -> None:
    """Exit 2, with what could be meant."""
    done = command("backtest", "time-inference", *words, cwd=store.parent, check=False)
    assert done.returncode == 2
    assert said in done.stderr
