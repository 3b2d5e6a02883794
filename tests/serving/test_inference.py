"""The Open Inference Protocol's routes: rows of features, scored as the family scores them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from tests.serving.kit import BARS, NAIVE, START, Client, Stage, serving
from trader.app.bot import loaded
from trader.core.features import features, preset_named
from trader.core.model import ModelCard
from trader.core.probability import shortest
from trader.core.types import HOUR_MS, Matrix
from trader.forecasters.registry import forecaster_of
from trader.forecasters.rows import RowPredictor
from trader.serving.bounds import MOST_ROWS


@pytest.fixture(scope="module")
def stage() -> Stage:
    """A bot of trees."""
    return Stage()


@pytest.fixture(scope="module")
def card(stage: Stage) -> ModelCard:
    """Its model's card."""
    return stage.train()


@pytest.fixture(scope="module")
def client(stage: Stage, card: ModelCard) -> Iterator[Client]:
    """The server."""
    assert card
    with serving(stage.service()) as made:
        yield made


@pytest.fixture(scope="module")
def X(card: ModelCard) -> Matrix:  # noqa: N802  # the field's own name
    """Real rows of features, (600, 9)."""
    return features(BARS, preset_named(card.features), START, START + 60 * HOUR_MS)


def asked(X: Any, datatype: str = "FP32", **more: Any) -> dict[str, Any]:
    """A request for the scores of rows."""
    rows = np.asarray(X)
    tensor = {"name": "rows", "shape": list(rows.shape), "datatype": datatype, "data": rows.ravel().tolist()}
    return {"inputs": [{**tensor, **more}]}


@pytest.mark.parametrize("rows", [1, 60])
def test_rows_are_scored_as_the_family_scores_them(
    stage: Stage, card: ModelCard, client: Client, X: Matrix, rows: int
) -> None:
    """Shortest decimals of the same float32, few rows and many, with the hashes of the card and of the rows."""
    predictor = loaded(stage.journal, forecaster_of, card.model_id).predictor
    assert isinstance(predictor, RowPredictor)
    wanted = [shortest(p_up) for p_up in predictor.scores(X[:rows])]
    for name in ("BTCUSDT", card.model_id):
        told = client.post(f"/v2/models/{name}/infer", {**asked(X[:rows]), "id": "mine"}).json()
        (tensor,) = told["outputs"]
        assert (tensor["name"], tensor["shape"], tensor["datatype"]) == ("p_up", [rows], "FP32")
        assert tensor["data"] == wanted
        assert (told["model_name"], told["model_version"], told["id"]) == (name, card.model_id, "mine")
        assert told["parameters"]["input_hash"] == hashlib.sha256(X[:rows].tobytes()).hexdigest()


def test_nested_rows_and_fp64_are_read_as_well(client: Client, X: Matrix) -> None:
    """Flat or nested, FP32 or FP64: the same numbers."""
    path = "/v2/models/BTCUSDT/infer"
    flat = client.post(path, asked(X[:5])).json()
    assert client.post(path, asked(X[:5], data=X[:5].tolist())).json() == flat
    assert client.post(path, asked(X[:5], "FP64")).json() == flat


def test_a_row_of_an_hour_gives_the_forecast_of_that_hour(client: Client, X: Matrix) -> None:
    """Both doors lead to one model."""
    told = client.post("/v2/models/BTCUSDT/infer", asked(X[:1])).json()
    assert told["outputs"][0]["data"] == [client.forecast()["p_up"]]


def test_metadata_names_columns_and_version(card: ModelCard, client: Client) -> None:
    """What the model reads, in order; and the server's own name."""
    told = client.get("/v2/models/BTCUSDT").json()
    assert told["versions"] == [card.model_id]
    assert told["platform"] == "trader_xgboost_native"
    assert told["inputs"][0]["parameters"]["columns"] == card.columns
    assert told["inputs"][0]["shape"] == [-1, len(card.columns)]
    version = f"/v2/models/BTCUSDT/versions/{card.model_id}"
    assert client.get(version).json() == told
    assert client.get(f"{version}/ready").json() == {"name": "BTCUSDT", "ready": True}
    assert client.get("/v2").json()["name"] == "hourly-trader"
    assert client.get("/v2/health/live").json() == {"live": True}


@pytest.mark.parametrize("path", ["/v2/models/ETHUSDT", "/v2/models/BTCUSDT/versions/20200101T00-0/infer"])
def test_a_model_that_does_not_answer_is_404(client: Client, X: Matrix, path: str) -> None:
    """Never another model's numbers."""
    reply = client.post(path, asked(X[:1])) if path.endswith("infer") else client.get(path)
    assert reply.status_code == 404
    assert "answer" in reply.json()["error"]


ROW = [1.0] * 9
BAD: dict[str, tuple[Any, str]] = {
    "no inputs": ({"inputs": []}, "inputs: List should have at least 1 item"),
    "two inputs": ({"inputs": asked([ROW])["inputs"] * 2}, "inputs: List should have at most 1 item"),
    "another name": (asked([ROW], name="x"), "there is no 'x'; the one input is 'rows'"),
    "another output": ({**asked([ROW]), "outputs": [{"name": "y"}]}, "the one output is 'p_up'"),
    "too few columns": (asked([ROW[:8]]), "shape [1, 8] is not [rows, 9]"),
    "no rows": (asked(np.zeros((0, 9))), "shape [0, 9] is not [rows, 9]"),
    "fewer numbers": (asked([ROW], shape=[2, 9]), "data holds 9 numbers"),
    "uneven rows": (asked([ROW, ROW], data=[ROW, ROW[:8]]), "its rows are not all of 9 numbers"),
    "a text": (asked([ROW], data=[*ROW[:8], "1"]), "inputs.0.data.8: Input should be a valid number"),
    "a text in nested rows": (
        asked([ROW], data=[[*ROW[:8], "1"]]),
        "inputs.0.data.0.8: Input should be a valid",
    ),
    "true": (asked([ROW], data=[*ROW[:8], True]), "inputs.0.data.8: Input should be a valid number"),
    "null": (asked([ROW], data=[*ROW[:8], None]), "inputs.0.data.8: Input should be a valid number"),
    "NaN": (
        json.dumps(asked([ROW], data=[*ROW[:8], float("nan")])).encode(),
        "inputs.0.data.8: Input should be a finite number",
    ),
    "beyond FP32": (asked([ROW], data=[*ROW[:8], 1e300]), "row 0, column 8 holds 1e+300, which FP32 cannot"),
    "integers' type": (asked([ROW], "INT64"), "datatype: Input should be 'FP32' or 'FP64'"),
    "ten thousand rows": (asked(np.ones((10_000, 9), int)), f"10,000 rows are more than {MOST_ROWS:,}"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_rows_are_named_and_never_scored(client: Client, name: str) -> None:
    """422, the place, and what is expected."""
    body, words = BAD[name]
    status, said = client.refused(body, "/v2/models/BTCUSDT/infer")
    assert status == 422, said
    assert words in said
    assert len(said) < 1_000


def test_a_family_that_reads_the_series_takes_no_rows() -> None:
    """It names the door that does."""
    stage = Stage()
    stage.train(model=NAIVE)
    with serving(stage.service()) as client:
        status, said = client.refused(asked([ROW]), "/v2/models/BTCUSDT/infer")
        assert (status, "ask POST /v1/forecast" in said) == (422, True)
        assert client.get("/v2/models/BTCUSDT").json()["inputs"] == []
