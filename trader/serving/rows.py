"""Rows of features in the body of an inference request, as an array: from JSON, or from bytes that follow it.

The bytes are the Open Inference Protocol's extension for binary tensors, which clients of the protocol send by default.
A thousand rows of nine features are 180 kB of JSON, which take 2 ms to read, and 37 kB of bytes, which take none.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from trader.core.types import Floats, Matrix
from trader.serving.bodies import body_of
from trader.serving.bounds import MOST_ROWS
from trader.serving.refusal import Refused
from trader.serving.schemas import InferRequest, TensorIn

ROWS = "rows"
# Of the Open Inference Protocol's extension for binary tensors.
HEAD_LENGTH = "inference-header-content-length"
BINARY_SIZE = "binary_data_size"
_LENGTH = re.compile(r"[0-9]{1,12}")
_LITTLE_ENDIAN = {"FP32": "<f4", "FP64": "<f8"}


@dataclass(frozen=True, slots=True)
class AskedRows:
    """A request and its numbers. values: float32 or float64, flat or (n, k) as they were sent; the request holds none of them."""

    request: InferRequest
    values: Floats | Matrix


def asked_rows(body: bytes, head_length: str | None) -> AskedRows:
    """The request of a body. head_length: the header that says how many bytes of the body are JSON, None where all are. Raises
    Refused 422 that names the fault."""
    if head_length is None:
        return _from_json(body)
    length = int(head_length) if _LENGTH.fullmatch(head_length) else 0
    if not 0 < length <= len(body):
        raise Refused(
            422,
            f"{HEAD_LENGTH}: {head_length[:40]!r} is not the number of bytes of JSON that the body of {len(body):,} bytes "
            "begins with",
        )
    head, binary = body[:length], body[length:]
    request = body_of(InferRequest, head)
    tensor = request.inputs[0]
    if tensor.data is None:
        return AskedRows(request, _binary(tensor, binary))
    if binary:
        raise Refused(
            422,
            f"{len(binary):,} bytes stand behind the JSON, and inputs.0.data is JSON; send the numbers once",
        )
    return AskedRows(request, _floats(tensor))


def _from_json(body: bytes) -> AskedRows:
    request = body_of(InferRequest, body)
    if request.inputs[0].data is None:
        raise Refused(
            422,
            f"inputs.0.data: Field required; or send the numbers as bytes behind the JSON, and its length as {HEAD_LENGTH}",
        )
    return AskedRows(request, _floats(request.inputs[0]))


def _floats(tensor: TensorIn) -> Floats | Matrix:
    if BINARY_SIZE in (tensor.parameters or {}):
        raise Refused(
            422,
            f"inputs.0 has data as JSON, and parameters.{BINARY_SIZE}, which is for bytes; leave one of them out",
        )
    try:
        return np.array(tensor.data, dtype=np.float64)
    except ValueError:  # rows of several lengths
        raise Refused(422, f"data: its rows are not all of {tensor.shape[1]} numbers") from None


def _binary(tensor: TensorIn, binary: bytes) -> Floats | Matrix:
    """The tensor's bytes, which are all that stands behind the JSON."""
    kind: np.dtype[np.floating[Any]] = np.dtype(_LITTLE_ENDIAN[tensor.datatype])
    said = (tensor.parameters or {}).get(BINARY_SIZE)
    wanted = tensor.shape[0] * tensor.shape[1] * kind.itemsize
    if type(said) is not int or not said == len(binary) == wanted:
        raise Refused(
            422,
            f"inputs.0.parameters.{BINARY_SIZE} is {said}, behind the JSON stand {len(binary):,} bytes, and {tensor.datatype} of "
            f"shape {tensor.shape} has {wanted:,}; all three must be equal",
        )
    values: Floats | Matrix = np.frombuffer(binary, kind)
    return values


def matrix_of(asked: AskedRows, columns: int) -> Matrix:
    """Rows of features: (n, k) finite float32. Raises Refused for another shape, too many rows, and numbers that FP32 cannot
    hold."""
    tensor, values = asked.request.inputs[0], asked.values
    if tensor.name != ROWS:
        raise Refused(422, f"inputs: there is no {tensor.name!r}; the one input is {ROWS!r}")
    n, k = tensor.shape
    if k != columns or n < 1:
        raise Refused(
            422, f"shape {tensor.shape} is not [rows, {columns}]; GET /v2/models/NAME lists the columns"
        )
    if n > MOST_ROWS:
        raise Refused(422, f"{n:,} rows are more than {MOST_ROWS:,}; send them in several requests")
    if values.size != n * k or values.shape not in ((n * k,), (n, k)):
        raise Refused(
            422, f"data holds {values.size:,} numbers of shape {list(values.shape)}, not {n:,} x {k}"
        )
    with np.errstate(over="ignore"):
        X = np.ascontiguousarray(values.reshape(n, k), dtype=np.float32)
    if not np.isfinite(X).all():
        row, column = (int(it[0]) for it in np.nonzero(~np.isfinite(X)))
        held = values.reshape(n, k)[row, column]
        what = "FP32 cannot" if np.isfinite(held) else "is no number"
        raise Refused(422, f"data: row {row}, column {column} holds {held:g}, which {what}")
    return X
