"""Several symbols in one server, and a model by two runtimes: each answer is its own model's, whatever serves it."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.serving.kit import BARS, NAIVE, START, Client, Stage, hour_text, rows_until, serving
from tests.support.bars_made import bars_made
from trader.app.exports import export_model
from trader.core.features import anchor_of, features, preset_named
from trader.core.types import HOUR_MS

NOW = START + 60 * HOUR_MS
BOOK = ("BTCUSDT", "ETHUSDT")


def ether_beside(bitcoin: Stage) -> Stage:
    """The other symbol of its store."""
    bars = bars_made(2_900, 8, start="2021-01-01", symbol="ETHUSDT", price=1_700.0)
    return Stage(bars=bars, store=bitcoin.store, book=BOOK)


def infer(client: Client, name: str, rows: Any) -> dict[str, Any]:
    """The answer about rows of features."""
    tensor = {"name": "rows", "shape": list(rows.shape), "datatype": "FP32", "data": rows.ravel().tolist()}
    reply = client.post(f"/v2/models/{name}/infer", {"inputs": [tensor]})
    assert reply.status_code == 200, reply.text
    found: dict[str, Any] = reply.json()
    return found


def test_the_onnx_export_answers_over_http_as_the_model_does() -> None:
    """--runtime onnx beside native: 60 hours, bars of the request and 600 rows are within 1e-6; all else is equal."""
    stage = Stage()
    card = stage.train()
    stage.at(NOW)
    export_model(stage.journal, card, "onnx")
    X = features(BARS, preset_named(card.features), START - 600 * HOUR_MS, START)
    with serving(stage.service()) as native, serving(stage.service(runtime="onnx")) as onnx:
        asked: list[dict[str, Any]] = [{"hour": hour_text(START + n * HOUR_MS)} for n in range(60)]
        asked += [{}, {"bars": rows_until(BARS, NOW, anchor_of(NOW))}]
        told = [(native.forecast(**it), onnx.forecast(**it)) for it in asked]
        differences = [
            abs(one.pop("p_up") - other.pop("p_up")) for one, other in told if one["p_up"] is not None
        ]
        assert len(differences) >= 60
        assert max(differences) <= 1e-6
        assert {(one.pop("runtime"), other.pop("runtime")) for one, other in told} == {("native", "onnx")}
        assert all(one == other for one, other in told)
        one, other = infer(native, "BTCUSDT", X), infer(onnx, "BTCUSDT", X)
        assert one["parameters"] == other["parameters"]
        scores = [np.array(it["outputs"][0]["data"]) for it in (one, other)]
        assert len(scores[0]) == 600
        assert np.abs(scores[0] - scores[1]).max() <= 1e-6
        assert np.ptp(scores[0]) > 0.01
        assert onnx.get("/v2/models/BTCUSDT").json()["platform"] == "trader_xgboost_onnx"


def test_without_an_export_the_onnx_runtime_says_how_to_make_one() -> None:
    """503, never the native model's numbers under another name."""
    stage = Stage()
    stage.train()
    with serving(stage.service(runtime="onnx")) as client:
        status, said = client.refused({"symbol": "BTCUSDT"})
        assert (status, "trader export" in said) == (503, True)
        assert client.get("/readyz").status_code == 503


def test_each_symbol_of_a_book_is_answered_by_its_own_model() -> None:
    """Two symbols and families in one server: each answer is that of a server of one symbol alone."""
    bitcoin = Stage(book=BOOK)
    ether = ether_beside(bitcoin)
    stages = {"BTCUSDT": bitcoin, "ETHUSDT": ether}
    ids = {"BTCUSDT": bitcoin.train().model_id, "ETHUSDT": ether.train(model=NAIVE).model_id}
    alone = {}
    for symbol, stage in stages.items():
        stage.at(NOW)
        with serving(stage.service()) as client:
            alone[symbol] = client.forecast(symbol=symbol)
    with serving(bitcoin.service(beside=[ether])) as client:
        assert {symbol: client.forecast(symbol=symbol) for symbol in stages} == alone
        assert {symbol: alone[symbol]["model_id"] for symbol in stages} == ids
        assert alone["BTCUSDT"]["input_hash"] != alone["ETHUSDT"]["input_hash"]
        both = client.post("/v1/forecast", {"requests": [{"symbol": it} for it in ("ETHUSDT", "BTCUSDT")]})
        assert both.json()["answers"] == [alone["ETHUSDT"], alone["BTCUSDT"]]
        status, said = client.refused({"symbol": "XRPUSDT"})
        assert (status, "there are BTCUSDT, ETHUSDT" in said) == (422, True)
        for symbol, model_id in ids.items():
            assert client.get(f"/v2/models/{symbol}").json()["versions"] == [model_id]
            assert client.get(f"/v2/models/{model_id}/ready").status_code == 200
            assert f"{symbol}: {model_id}" in client.get("/readyz").text
        assert client.get(f"/v2/models/ETHUSDT/versions/{ids['BTCUSDT']}").status_code == 404
        metrics = client.get("/metrics").text
        assert all(f'symbol="{symbol}"' in metrics for symbol in stages)


def test_a_symbol_without_a_model_leaves_the_others_answered() -> None:
    """Ready as long as one of them answers; whoever asks for the other is told how to train it."""
    bitcoin = Stage(book=BOOK)
    bitcoin.train()
    ether = ether_beside(bitcoin)
    with serving(bitcoin.service(beside=[ether])) as client:
        assert client.forecast()["p_up"] is not None
        status, said = client.refused({"symbol": "ETHUSDT"})
        assert (status, "ETHUSDT: no model serves yet; train one with" in said) == (503, True)
        assert client.get("/readyz").status_code == 200
        assert client.get("/v2/models/ETHUSDT/ready").status_code == 503
