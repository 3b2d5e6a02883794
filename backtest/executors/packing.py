"""How tasks, arrays and answers travel: JSON and the arrays' own bytes, in one layout. Nothing is pickled.

8 bytes, little endian: the length of the head
the head: JSON, padded with spaces to a multiple of 16
the arrays in C order, each padded with zeros to a multiple of 16
"""

from __future__ import annotations

import json
import math
import traceback
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from backtest.executors.protocol import Array, Arrays, Task, TaskFailed, function_of, reference_of
from trader.core.errors import ConfigError, DataError, Retry

_UNIT = 16
_KINDS = "biuf"  # numbers and truth values; never objects
_ERRORS: dict[str, type[Exception]] = {error.__name__: error for error in (ConfigError, DataError, Retry)}
_RESULT, _ERROR = b"=", b"!"


def packed(head: Mapping[str, Any], arrays: Arrays) -> bytes:
    """A head of plain JSON values and arrays by name as bytes."""
    parts, kept = [], {name: np.asarray(array, order="C") for name, array in arrays.items()}
    for name, array in kept.items():
        if array.dtype.kind not in _KINDS:
            raise TypeError(f"array {name!r} of {array.dtype} holds no plain numbers")
        parts.append(_padded(array.tobytes(), b"\0"))
    layout = [[name, array.dtype.str, list(array.shape)] for name, array in kept.items()]
    text = json.dumps({"head": dict(head), "arrays": layout}).encode()
    text = text + b" " * (-(len(text) + 8) % _UNIT)
    return b"".join((len(text).to_bytes(8, "little"), text, *parts))


def unpacked(data: bytes | memoryview) -> tuple[dict[str, Any], dict[str, Array]]:
    """What was packed; the arrays share the bytes' memory and cannot be written. Raises DataError for anything else."""
    try:
        at = 8 + int.from_bytes(data[:8], "little")
        described = json.loads(bytes(data[8:at]))
        arrays = {}
        for name, kind, shape in described["arrays"]:
            dtype, count = np.dtype(kind), math.prod(shape)
            if dtype.kind not in _KINDS:
                raise ValueError(f"an array of {dtype}")  # noqa: TRY301  # the one below names it
            arrays[name] = np.frombuffer(data, dtype, count, at).reshape(shape)
            at += -(-count * dtype.itemsize // _UNIT) * _UNIT
        if at != len(data):
            raise ValueError(f"{len(data):,} bytes, not {at:,}")  # noqa: TRY301  # the one below names it
        return dict(described["head"]), arrays
    except (ValueError, TypeError, KeyError) as error:
        raise DataError(f"these bytes are no packed arrays ({error})") from None


def _padded(data: bytes, filler: bytes) -> bytes:
    return data + filler * (-len(data) % _UNIT)


def packed_task(task: Task) -> bytes:
    """A task without what it shares: that is named only."""
    head = {
        "function": reference_of(task.function),
        "settings": dict(task.settings),
        "shared": task.shared.name,
    }
    return packed(head, task.arrays)


def computed(data: bytes | memoryview, shared: Callable[[str], Arrays]) -> bytes:
    """A packed task's answer: its result, or what it raised. `shared` gives the arrays of a name."""
    try:
        head, arrays = unpacked(data)
        function = function_of(head["function"])
        return _RESULT + function({**shared(head["shared"]), **arrays}, head["settings"])
    except Exception as error:  # whatever it is, who asked for the result wants to see it
        told = {
            "error": type(error).__name__,
            "message": str(error),
            "trace": "".join(traceback.format_exception(error)),
        }
        return _ERROR + json.dumps(told).encode()


def opened(answer: bytes, task: Task) -> bytes:
    """The result in an answer. Raises what the task raised, TaskFailed for a bug, DataError for what is no answer."""
    if answer[:1] == _RESULT:
        return answer[1:]
    try:
        if answer[:1] != _ERROR:
            raise ValueError(f"it begins with {answer[:8]!r}")  # noqa: TRY301  # the one below names it
        told = json.loads(answer[1:])
        kind, message, trace = told["error"], told["message"], told["trace"]
    except (ValueError, TypeError, KeyError) as error:
        raise DataError(f"the answer to {task} cannot be read ({error})") from None
    if kind in _ERRORS:
        raise _ERRORS[kind](message)
    raise TaskFailed(f"{task} failed in its worker:\n{trace}")
