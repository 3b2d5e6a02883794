"""The Open Inference Protocol, version 2, for models that read rows: metadata, readiness, P(up) of each row."""

from __future__ import annotations

import hashlib
from functools import partial

import numpy as np

from trader.core.errors import TraderError
from trader.core.types import Matrix
from trader.serving.bodies import body_of
from trader.serving.bounds import INLINE_ROWS, MOST_ROWS
from trader.serving.model import ServedModel, row_scores
from trader.serving.refusal import Refused, refusal_of
from trader.serving.schemas import InferRequest, ModelMetadata, TensorIn, TensorMetadata
from trader.serving.served import SymbolModels
from trader.serving.service import Service

ROWS, P_UP = "rows", "p_up"


class Inference:
    """Models by name: a symbol, which is its serving model, or the id of a model that answers now."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def model(self, name: str, version: str | None = None) -> ServedModel:
        """The model of a name, and of a version, which is its id. Raises Refused 404 for one that does not answer now, 503 where
        none can be loaded."""
        service = self._service
        newest = service.sources.newest_hour()
        models = service.models.get(name)
        found = self._of(models, newest) if models is not None else self._by_id(name, newest)
        if found is None:
            raise Refused(
                404, f"no model {name} answers here; there are {', '.join(service.models)}, and the ids that "
                "GET /v2/models/NAME lists"
            )  # fmt: skip
        if version is not None and version != found.model_id:
            raise Refused(
                404, f"version {version} of {name} does not answer; {found.model_id} does. Leave the version out, or start "
                f"trader serve --model {version}"
            )  # fmt: skip
        return found

    def _of(self, models: SymbolModels, newest: int) -> ServedModel:
        model, why = models.state(newest)
        if model is None:
            raise Refused(503, why)
        return model

    def _by_id(self, name: str, newest: int) -> ServedModel | None:
        states = (models.state(newest)[0] for models in self._service.models.values())
        return next((model for model in states if model is not None and model.model_id == name), None)

    def metadata(self, name: str, version: str | None = None) -> ModelMetadata:
        """What a model reads and writes: the columns of its rows, in order."""
        model = self.model(name, version)
        card = model.loaded.card
        rows = TensorMetadata(
            name=ROWS, datatype="FP32", shape=[-1, len(card.columns)], parameters={"columns": card.columns}
        )
        return ModelMetadata(
            name=name,
            versions=[model.model_id],
            platform=f"trader_{card.family}_{model.runtime}",
            inputs=[rows] if model.reads_rows else [],
            outputs=[TensorMetadata(name=P_UP, datatype="FP32", shape=[-1])] if model.reads_rows else [],
        )

    async def infer(self, name: str, version: str | None, body: bytes, deadline: float) -> bytes:
        """P(up) of each row, as JSON. Raises Refused."""
        model = self.model(name, version)
        card = model.loaded.card
        if not model.reads_rows:
            raise Refused(
                422, f"{card.family} reads the series of bars, not rows of features; ask POST /v1/forecast"
            )
        if len(card.symbols) > 1:
            raise Refused(
                422,
                f"{model.model_id} was fitted on rows of {', '.join(card.symbols)}, and a row does not say whose it is; ask POST "
                "/v1/forecast",
            )
        if len(body) <= _SMALL_BODY:
            return self._answer(name, model, body)
        return await self._service.compute.run(partial(self._answer, name, model, body), deadline)

    def _answer(self, name: str, model: ServedModel, body: bytes) -> bytes:
        asked = body_of(InferRequest, body)
        X = rows_of(asked.inputs[0], len(model.loaded.card.columns))
        for output in asked.outputs or ():
            if output.name != P_UP:
                raise Refused(422, f"outputs: there is no {output.name!r}; the one output is {P_UP!r}")
        try:
            scores = row_scores(model, X)
        except TraderError as error:
            raise refusal_of(error) from None
        return _told(name, model, asked.id, X, scores)


# A body of so many bytes holds a few rows at most: a thread would take longer to wake than they to be scored.
_SMALL_BODY = 220 * INLINE_ROWS


def rows_of(tensor: TensorIn, columns: int) -> Matrix:
    """Rows of features: (n, k) finite float32. Raises Refused for another shape, too many rows, and numbers that FP32 cannot
    hold."""
    if tensor.name != ROWS:
        raise Refused(422, f"inputs: there is no {tensor.name!r}; the one input is {ROWS!r}")
    n, k = tensor.shape
    if k != columns or n < 1:
        raise Refused(
            422, f"shape {tensor.shape} is not [rows, {columns}]; GET /v2/models/NAME lists the columns"
        )
    if n > MOST_ROWS:
        raise Refused(422, f"{n:,} rows are more than {MOST_ROWS:,}; send them in several requests")
    try:
        values = np.array(tensor.data, dtype=np.float64)
    except ValueError:  # rows of several lengths
        raise Refused(422, f"data: its rows are not all of {k} numbers") from None
    if values.size != n * k or values.shape not in ((n * k,), (n, k)):
        raise Refused(
            422, f"data holds {values.size:,} numbers of shape {list(values.shape)}, not {n:,} x {k}"
        )
    with np.errstate(over="ignore"):
        X = np.ascontiguousarray(values.reshape(n, k), dtype=np.float32)
    if not np.isfinite(X).all():
        row, column = (int(it[0]) for it in np.nonzero(~np.isfinite(X)))
        raise Refused(
            422,
            f"data: row {row}, column {column} holds {values.reshape(n, k)[row, column]:g}, which FP32 cannot",
        )
    return X


def _told(name: str, model: ServedModel, asked_id: str | None, X: Matrix, scores: Matrix) -> bytes:
    """An `InferAnswer` as JSON, written by hand: a float32 in its shortest decimal is its own text."""
    from pydantic_core import to_json

    if not np.isfinite(scores).all():
        raise Refused(503, f"{model.model_id} gave a P(up) that is no number; see trader store verify")
    input_hash = hashlib.sha256(X.tobytes()).hexdigest()
    head = {
        "model_name": name,
        "model_version": model.model_id,
        "id": asked_id,
        "parameters": {
            "symbol": ",".join(model.loaded.card.symbols),
            "card_hash": model.card_hash,
            "input_hash": input_hash,
        },
    }
    data = ",".join(map(str, scores))
    tensor = f'"outputs":[{{"name":"{P_UP}","shape":[{len(scores)}],"datatype":"FP32","data":[{data}]}}]'
    return to_json(head)[:-1] + b"," + tensor.encode() + b"}"
