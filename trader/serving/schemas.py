"""What is asked and answered over HTTP, as strict types: a text for a number, NaN and unknown keys are refused.

The OpenAPI document is made of these.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from trader.core.model_params import LONGEST_FORECAST_HOURS
from trader.serving.bounds import MOST_BARS, MOST_REQUESTS, MOST_ROWS

Runtime = Literal["native", "onnx"]
SymbolText = Annotated[
    str, Field(pattern=r"^[A-Z0-9]{2,20}$", description="trading pair, such as BTCUSDT", examples=["BTCUSDT"])
]
Number = Annotated[float, Field(allow_inf_nan=False)]
# Of long lists the first fault is named and no other looked for: half a million faults take seconds to tell.
Numbers = Annotated[list[Number], Field(fail_fast=True)]
# A bar as a kline begins: open time (UTC milliseconds), open, high, low, close, volume.
BarRow = tuple[Annotated[int, Field(ge=0, lt=2**63)], Number, Number, Number, Number, Number]


class Asked(BaseModel):
    """A part of a request."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Told(BaseModel):
    """A part of an answer."""

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="null", protected_namespaces=())


class ForecastRequest(Asked):
    """A request for the forecast of one hour of one symbol."""

    symbol: SymbolText
    hour: Annotated[
        str | None,
        Field(
            max_length=40,
            description="close of the hour in UTC, such as 2022-01-23T02:00Z; null: the newest closed one, or the last of `bars`",
            examples=["2022-01-23T02:00:00Z"],
        ),
    ] = None
    horizon_hours: Annotated[
        int | None,
        Field(
            ge=1,
            le=LONGEST_FORECAST_HOURS,
            description="hours ahead; null: the horizon that the bot trades by",
        ),
    ] = None
    bars: Annotated[
        Annotated[list[BarRow], Field(fail_fast=True, min_length=1, max_length=MOST_BARS)] | None,
        Field(
            description="hourly bars to read in place of collected ones, oldest first, each [open time in UTC milliseconds, "
            "open, high, low, close, volume]",
        ),
    ] = None


class ForecastRequests(Asked):
    """Several requests at once, answered in their order."""

    requests: Annotated[list[ForecastRequest], Field(fail_fast=True, min_length=1, max_length=MOST_REQUESTS)]


class ForecastAnswer(Told):
    """The bot's forecast at an hour: P(up), and quantiles if the family gives them."""

    symbol: str
    model_id: str
    card_hash: Annotated[
        str, Field(description="SHA-256 of the model's card, as the champion's event has it")
    ]
    family: str
    runtime: Runtime
    input_hash: Annotated[
        str,
        Field(
            description="SHA-256 of the bars that were read; equals bars_hash of the bot's decision for that hour"
        ),
    ]
    source: Annotated[
        Literal["collected", "request"],
        Field(description="which bars were read: the bot's collected ones, or those of the request"),
    ]
    hour: Annotated[str, Field(description="close of the hour that the forecast is made at, UTC")]
    horizon_hours: int
    p_up: Annotated[
        float | None,
        Field(
            description="probability that the close rises over horizon_hours by more than the label's hurdle; null: see reason"
        ),
    ]
    reason: Annotated[str, Field(description='why there is no p_up: gap or warm_up; "" where there is one')]
    levels: Annotated[
        list[float] | None, Field(description="levels of the quantiles; null for a family without quantiles")
    ]
    quantiles: Annotated[
        list[float] | None,
        Field(description="quantiles of log(close[hour + horizon_hours] / close[hour]) at the levels"),
    ]
    model_late: Annotated[
        bool, Field(description="a newer model should serve this hour, and is missing or cannot be loaded")
    ]
    serves_from: Annotated[
        str | None,
        Field(
            description="the hour from which the model trades, if it does not trade this hour yet; else null"
        ),
    ]
    in_sample: Annotated[
        bool,
        Field(
            description="the hour lies within the model's training, so the forecast is no evidence of skill"
        ),
    ]


class Problem(Told):
    """Why there is no answer, and how to correct the request."""

    error: str


class RefusedForecast(Told):
    """One of several requests that was refused. status: the HTTP status of this request alone."""

    symbol: str
    status: int
    error: str


class ForecastAnswers(Told):
    """The answers in the order of the requests."""

    answers: list[ForecastAnswer | RefusedForecast]


class TensorIn(Asked):
    """Rows of features. data: row after row, flat or nested; left out where the numbers follow the JSON as bytes, and then
    `parameters.binary_data_size` is how many."""

    name: Annotated[str, Field(max_length=100, examples=["rows"])]
    shape: Annotated[list[Annotated[int, Field(ge=0, le=1_000_000)]], Field(min_length=2, max_length=2)]
    datatype: Literal["FP32", "FP64"]
    parameters: dict[str, Any] | None = None
    data: Annotated[
        Numbers | Annotated[list[Numbers], Field(fail_fast=True, max_length=MOST_ROWS)] | None,
        Field(union_mode="left_to_right"),
    ] = None


class TensorAsked(Asked):
    """An output that is wanted."""

    name: Annotated[str, Field(max_length=100, examples=["p_up"])]
    parameters: dict[str, Any] | None = None


class InferRequest(Asked):
    """The Open Inference Protocol's inference request: one tensor of rows."""

    id: Annotated[str | None, Field(max_length=200)] = None
    parameters: dict[str, Any] | None = None
    inputs: Annotated[list[TensorIn], Field(min_length=1, max_length=1)]
    outputs: Annotated[list[TensorAsked] | None, Field(max_length=1)] = None


class TensorOut(Told):
    """P(up) of each row. data: left out where the numbers follow the JSON as bytes, `parameters.binary_data_size` of them."""

    name: str
    shape: list[int]
    datatype: Literal["FP32"]
    parameters: dict[str, int] | None = None
    data: list[float] | None = None


class InferAnswer(Told):
    """The Open Inference Protocol's inference response. parameters: card_hash, input_hash (SHA-256 of the rows as
    little-endian FP32), symbol."""

    model_name: str
    model_version: str
    id: str | None = None
    parameters: dict[str, str]
    outputs: list[TensorOut]


class TensorMetadata(Told):
    """A tensor that a model reads or writes; -1 is any number of rows."""

    name: str
    datatype: str
    shape: list[int]
    parameters: dict[str, Any] = {}


class ModelMetadata(Told):
    """The Open Inference Protocol's model metadata."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class ModelReady(Told):
    """Whether a model answers."""

    name: str
    ready: bool


class ServerMetadata(Told):
    """The Open Inference Protocol's server metadata."""

    name: str
    version: str
    extensions: list[str]


class ServerLive(Told):
    """Whether the server runs."""

    live: bool


class ServerReady(Told):
    """Whether the server answers."""

    ready: bool
