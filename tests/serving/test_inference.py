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
from trader.core.types import HOUR_MS, Floats, Matrix
from trader.forecasters.registry import forecaster_of
from trader.forecasters.rows import RowPredictor
from trader.serving.bounds import MOST_ROWS
from trader.serving.rows import HEAD_LENGTH


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


def with_bytes(X: Matrix | Floats, datatype: str = "FP32", **more: Any) -> tuple[bytes, dict[str, str]]:
    """A request whose numbers follow the JSON, and its header."""
    binary = X.astype({"FP32": "<f4", "FP64": "<f8"}[datatype]).tobytes()
    tensor = {"name": "rows", "shape": list(X.shape), "datatype": datatype}
    size = {"binary_data_size": len(binary)}
    head = json.dumps({"inputs": [{**tensor, "parameters": size}], **more}).encode()
    return head + binary, {HEAD_LENGTH: str(len(head))}


@pytest.mark.parametrize(("rows", "datatype"), [(1, "FP32"), (60, "FP32"), (60, "FP64")])
def test_rows_as_bytes_are_the_rows_as_json(client: Client, X: Matrix, rows: int, datatype: str) -> None:
    """The protocol's extension for binary tensors: the same answer, as JSON or as bytes as it is asked for."""
    path = "/v2/models/BTCUSDT/infer"
    assert "binary_tensor_data" in client.get("/v2").json()["extensions"]
    wanted = client.post(path, asked(X[:rows])).json()
    body, header = with_bytes(X[:rows], datatype)
    assert client.post(path, body, **header).json() == wanted
    for how in (
        {"parameters": {"binary_data_output": True}},
        {"outputs": [{"name": "p_up", "parameters": {"binary_data": True}}]},
    ):
        body, header = with_bytes(X[:rows], datatype, **how)
        reply = client.post(path, body, **header)
        assert reply.headers["content-type"] == "application/octet-stream"
        length = int(reply.headers[HEAD_LENGTH])
        told, binary = json.loads(reply.content[:length]), reply.content[length:]
        (tensor,) = told["outputs"]
        assert tensor["parameters"] == {"binary_data_size": 4 * rows} == {"binary_data_size": len(binary)}
        assert "data" not in tensor
        assert told["parameters"] == wanted["parameters"]
        assert [shortest(it) for it in np.frombuffer(binary, "<f4")] == wanted["outputs"][0]["data"]
    not_asked = [{"name": "p_up", "parameters": {"binary_data": False}}]
    body, header = with_bytes(X[:rows], parameters={"binary_data_output": True}, outputs=not_asked)
    assert client.post(path, body, **header).json() == wanted


def bad_bytes() -> dict[str, tuple[bytes, dict[str, str], str]]:
    """Bodies that are wrong, with their header and what is said of them."""
    X = np.ones((2, 9), np.float32)
    body, header = with_bytes(X)
    length = int(header[HEAD_LENGTH])
    nothing, infinite = X.copy(), X.astype(np.float64)
    nothing[1, 3], infinite[1, 3] = np.nan, 1e300
    both = json.dumps(asked(X)).encode()
    return {
        "no header": (body, {}, "body: Invalid JSON"),
        "a header that is no number": (body, {HEAD_LENGTH: "-5"}, "is not the number of bytes of JSON"),
        "a header of 5,000 digits": (body, {HEAD_LENGTH: "9" * 5_000}, "is not the number of bytes of JSON"),
        "a header beyond the body": (body, {HEAD_LENGTH: "9999"}, "is not the number of bytes of JSON"),
        "a header within the JSON": (body, {HEAD_LENGTH: str(length - 1)}, "body: Invalid JSON"),
        "a byte too few": (
            body[:-1],
            header,
            "behind the JSON stand 71 bytes, and FP32 of shape [2, 9] has 72",
        ),
        "a byte too many": (body + b"x", header, "behind the JSON stand 73 bytes"),
        "numbers twice": (both + b"1234", {HEAD_LENGTH: str(len(both))}, "4 bytes stand behind the JSON"),
        "no numbers": (
            b'{"inputs":[{"name":"rows","shape":[1,9],"datatype":"FP32"}]}',
            {},
            "inputs.0.data: Field required",
        ),
        "another size": (body.replace(b": 72", b": 71"), header, "binary_data_size is 71, behind the JSON"),
        "a size that is no number": (body.replace(b": 72", b": []"), header, "binary_data_size is []"),
        "NaN": (*with_bytes(nothing), "row 1, column 3 holds nan, which is no number"),
        "beyond FP32": (*with_bytes(infinite, "FP64"), "row 1, column 3 holds 1e+300, which FP32 cannot"),
    }


@pytest.mark.parametrize("name", bad_bytes())
def test_bytes_that_are_no_rows_are_named_and_never_scored(client: Client, name: str) -> None:
    """422, and what is expected."""
    body, header, words = bad_bytes()[name]
    reply = client.post("/v2/models/BTCUSDT/infer", body, **header)
    assert reply.status_code == 422, reply.text
    assert words in reply.json()["error"]


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
    "a whole number beyond FP64": (
        json.dumps(asked([ROW], data=[*ROW[:8], 7])).replace("7]", "7" * 400 + "]").encode(),
        "inputs.0.data.8: Input should be a finite number",
    ),
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


@pytest.mark.parametrize("part", ['""', "[]", "{}", "null"])
def test_of_a_body_full_of_faults_one_is_named(client: Client, part: str) -> None:
    """A megabyte of wrong numbers: to name each would hold up everybody for seconds."""
    head = '{"inputs":[{"name":"rows","shape":[1,9],"datatype":"FP32","data":'
    for data in (f"[{','.join([part] * 150_000)}]", f"[[{','.join([part] * 150_000)}]]"):
        status, said = client.refused(f"{head}{data}}}]}}".encode(), "/v2/models/BTCUSDT/infer")
        assert status == 422
        assert said.count("inputs.0.data") == 1


def test_a_family_that_reads_the_series_takes_no_rows() -> None:
    """It names the door that does."""
    stage = Stage()
    stage.train(model=NAIVE)
    with serving(stage.service()) as client:
        status, said = client.refused(asked([ROW]), "/v2/models/BTCUSDT/infer")
        assert (status, "ask POST /v1/forecast" in said) == (422, True)
        assert client.get("/v2/models/BTCUSDT").json()["inputs"] == []
