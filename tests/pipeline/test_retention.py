"""`backtest gc` and `--manifest`: what may go goes, what a bot's model was made of stays, and a run can be done again."""

from __future__ import annotations

import hashlib
import json

from tests.pipeline.kit import Kitchen
from trader.adapters.store_local import LocalStore


def with_three_runs(kitchen: Kitchen) -> None:
    """Two runs more after the first one: three manifests, of three thresholds."""
    for old, new in (("0.001", "0.002"), ("0.002", "0.003")):
        kitchen.edit(f"enter_edge = {old}", f"enter_edge = {new}")
        kitchen.run()


def gc(kitchen: Kitchen, words: str = "") -> dict[str, object]:
    """`backtest gc` to its good end."""
    code, out, err = kitchen.ask(f"gc p.toml --json {words}")
    assert code == 0, err
    told: dict[str, object] = json.loads(out)
    return told


def test_what_no_manifest_names_goes_and_the_rest_stays(finished: Kitchen) -> None:
    """Nothing goes while manifests name everything; a budget takes the oldest manifests, never the newest run."""
    with_three_runs(finished)
    before = finished.outputs()
    assert gc(finished)["objects"] == 0
    would = gc(finished, "--budget-gb 0 --dry-run")
    assert would["manifests"] == [1, 2]
    assert len(list((finished.out / "manifests").iterdir())) == 3
    done = gc(finished, "--budget-gb 0")
    assert {**done, "dry_run": True} == would
    assert int(str(done["objects"])) >= 4
    assert [it.name for it in (finished.out / "manifests").iterdir()] == ["3.json"]
    assert finished.outputs() == before
    assert finished.status() == {}
    finished.edit("enter_edge = 0.003", "enter_edge = 0.001")
    assert finished.run() == ["backtest/BTCUSDT/naive", "publish"]


def test_what_a_bot_s_model_was_made_of_stays(finished: Kitchen) -> None:
    """A card in a bot's store with the parameters of the first run, or the bytes of its model, guards its manifest."""
    with_three_runs(finished)
    first = json.loads((finished.out / "manifests" / "1.json").read_text())
    outputs = {it["stage"]: it["outputs"] for it in first["stages"]}
    name = outputs["backtest/BTCUSDT/naive"]["P.json"]
    params = json.loads((finished.out / "objects" / name[:2] / name).read_text())
    store = LocalStore(finished.folder / "store")
    card = {"model_sha256": hashlib.sha256(b"another").hexdigest(), "params": params}
    store.create("models/20210312T00-0123456789ab/card", json.dumps(card).encode())
    done = gc(finished, "--budget-gb 0 --store store")
    assert done["protected"] == [1]
    assert done["manifests"] == [2]
    inputs = [name for it in first["stages"] for name in it["basis"]["inputs"].values()]
    made = [name for it in first["stages"] for name in it["outputs"].values()]
    there = {it.name for it in (finished.out / "objects").glob("*/*")}
    assert set(inputs) & set(made) <= there
    assert finished.ask("gc p.toml --store nowhere")[0] == 2


def test_a_run_is_done_again_from_its_manifest(finished: Kitchen) -> None:
    """Every output has equal bytes, whatever the file says by now; where the bars are others, each difference is named."""
    finished.edit("enter_edge = 0.001", "enter_edge = 0.4")
    code, out, err = finished.ask("pipeline p.toml --workers 1 --manifest out/manifests/1.json")
    assert code == 0, err
    assert "run 1 again: all outputs of 7 stages are equal bytes" in out
    assert (finished.folder / "out-again-1" / "current/publish/table.csv").is_file()
    manifest = finished.out / "manifests" / "1.json"
    told = json.loads(manifest.read_text())
    for stage in told["stages"]:
        if stage["stage"].startswith("backtest"):
            stage["outputs"]["summary.json"] = "0" * 64
            stage["basis"]["libraries"]["numpy"] = "1.0"
    manifest.write_text(json.dumps(told))
    code, out, _ = finished.ask("pipeline p.toml --workers 1 --manifest out/manifests/1.json")
    assert code == 2
    assert "backtest/BTCUSDT/naive: summary.json is other bytes (other libraries)" in out
