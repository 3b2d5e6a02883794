"""The OpenAPI document, and schemathesis that drives the server by it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.serving.kit import START, Client, Stage, serving

PATHS = {
    "/v1/forecast", "/v2", "/v2/health/live", "/v2/health/ready", "/v2/models/{name}", "/v2/models/{name}/ready",
    "/v2/models/{name}/infer", "/v2/models/{name}/versions/{version}", "/v2/models/{name}/versions/{version}/ready",
    "/v2/models/{name}/versions/{version}/infer", "/livez", "/readyz", "/metrics",
}  # fmt: skip


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    """The server of a bot of trees."""
    stage = Stage()
    stage.train()
    stage.at(START)
    with serving(stage.service()) as made:
        yield made


def test_the_document_names_every_route_and_every_schema(client: Client) -> None:
    """What is asked, what is answered, and each way to be refused; every reference leads somewhere."""
    document = client.get("/openapi.json").json()
    assert set(document["paths"]) == PATHS
    schemas = set(document["components"]["schemas"])
    assert {"ForecastRequest", "ForecastAnswer", "InferRequest", "InferAnswer", "Problem"} <= schemas
    assert references(document) <= schemas
    codes = set(document["paths"]["/v1/forecast"]["post"]["responses"])
    assert codes == {"200", "401", "408", "413", "422", "503"}


def references(part: Any) -> set[str]:
    """The schemas that a document refers to."""
    if isinstance(part, dict):
        own = {part["$ref"].rpartition("/")[2]} if isinstance(part.get("$ref"), str) else set()
        return own.union(*map(references, part.values()))
    return set().union(*map(references, part)) if isinstance(part, list) else set()


@pytest.mark.parametrize("cases", [40, pytest.param(1_000, marks=pytest.mark.long)])
def test_the_server_speaks_as_the_document_says(client: Client, cases: int) -> None:
    """Whatever is asked, rightly or wrongly: never 500, always a status, a type and a body that the document names."""
    import schemathesis
    from schemathesis import GenerationMode
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi.checks import (
        content_type_conformance,
        response_schema_conformance,
        status_code_conformance,
    )

    schema = schemathesis.openapi.from_dict(client.get("/openapi.json").json())
    schema.validate()
    made = []
    for path, item in schema.items():
        for method in item:
            operation = schema[path][method]
            made.append(operation.as_strategy())
            if operation.body:
                made.append(operation.as_strategy(generation_mode=GenerationMode.NEGATIVE))
    codes: list[int] = []
    checks = [
        not_a_server_error,
        content_type_conformance,
        response_schema_conformance,
        status_code_conformance,
    ]

    @settings(
        max_examples=cases, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
    )
    @given(st.one_of(made))
    def speak(case: Any) -> None:
        answer = case.call(base_url=client.url, session=session, allow_redirects=False)
        codes.append(answer.status_code)
        shed = answer.status_code == 503  # by a busy machine: an answer of the document as others are
        case.validate_response(answer, checks=checks[1:] if shed else checks)

    with requests.Session() as session:
        session.trust_env = False
        speak()
    assert {200, 422} <= set(codes)
    assert client.forecast()["p_up"] is not None
