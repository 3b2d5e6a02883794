"""The Open Inference Protocol, version 2, for models that read rows: metadata, readiness, P(up) of each row."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from pydantic_core import to_json

from trader.core.errors import TraderError
from trader.core.probability import shortest, shortest_all
from trader.core.text import visible
from trader.core.types import Matrix
from trader.serving.bounds import INLINE_ROWS
from trader.serving.model import ServedModel, row_scores
from trader.serving.refusal import Refused, refusal_of
from trader.serving.rows import BINARY_SIZE, ROWS, asked_rows, matrix_of
from trader.serving.schemas import InferRequest, ModelMetadata, TensorMetadata
from trader.serving.served import SymbolModels
from trader.serving.service import Service

P_UP = "p_up"


@dataclass(frozen=True, slots=True)
class Scored:
    """The body of an answer. head_bytes: how many bytes of it are JSON, None where all are."""

    body: bytes
    head_bytes: int | None


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
                404,
                f"no model {visible(name)[:60]} answers here; there are {', '.join(service.models)}, and the ids that "
                "GET /v2/models/NAME lists",
            )
        if version is not None and version != found.model_id:
            raise Refused(
                404,
                f"version {visible(version)[:60]} of {visible(name)[:60]} does not answer; {found.model_id} does. Leave the "
                "version out, or start trader serve --model with it",
            )
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

    async def infer(
        self, name: str, version: str | None, body: bytes, head_length: str | None, deadline: float
    ) -> Scored:
        """P(up) of each row. head_length: the header that says how much of the body is JSON. Raises Refused."""
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
            return self._answer(name, model, body, head_length)
        return await self._service.compute.run(
            partial(self._answer, name, model, body, head_length), deadline
        )

    def _answer(self, name: str, model: ServedModel, body: bytes, head_length: str | None) -> Scored:
        asked = asked_rows(body, head_length)
        X = matrix_of(asked, len(model.loaded.card.columns))
        for output in asked.request.outputs or ():
            if output.name != P_UP:
                raise Refused(422, f"outputs: there is no {output.name!r}; the one output is {P_UP!r}")
        try:
            scores = row_scores(model, X)
        except TraderError as error:
            raise refusal_of(error) from None
        return _told(name, model, asked.request, X, scores)


# A body of so many bytes holds a few rows at most: a thread would take longer to wake than they to be scored.
_SMALL_BODY = 220 * INLINE_ROWS


def _wants_bytes(asked: InferRequest) -> bool:
    """Whether the output is asked for as bytes: by itself, or else by the request for all outputs."""
    of_all = (asked.parameters or {}).get("binary_data_output") is True
    if not asked.outputs:
        return of_all
    return (asked.outputs[0].parameters or {}).get("binary_data", of_all) is True


def _told(name: str, model: ServedModel, asked: InferRequest, X: Matrix, scores: Matrix) -> Scored:
    """An `InferAnswer`, its numbers as decimals or as bytes. A decimal is the shortest that reads back as the same float32."""
    if not np.isfinite(scores).all():
        raise Refused(503, f"{model.model_id} gave a P(up) that is no number; see trader store verify")
    binary = scores.astype("<f4", copy=False).tobytes() if _wants_bytes(asked) else b""
    output: dict[str, Any] = {"name": P_UP, "shape": [len(scores)], "datatype": "FP32"}
    if binary:
        output["parameters"] = {BINARY_SIZE: len(binary)}
    else:
        few = len(scores) <= INLINE_ROWS
        output["data"] = [shortest(it) for it in scores] if few else shortest_all(scores).tolist()
    head = to_json(
        {
            "model_name": name,
            "model_version": model.model_id,
            "id": asked.id,
            "parameters": {
                "symbol": ",".join(model.loaded.card.symbols),
                "card_hash": model.card_hash,
                "input_hash": hashlib.sha256(X.tobytes()).hexdigest(),
            },
            "outputs": [output],
        }
    )
    return Scored(head + binary, len(head) if binary else None)
