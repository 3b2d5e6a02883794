"""What every family refuses of stored bytes, and in which words."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection
from typing import Any

from trader.core.errors import DataError

# As a file of bars may be named after; a comma separates symbols where they are one text.
SYMBOL = re.compile(r"[!-+\--~]{1,64}")
MOST_SYMBOLS = 1_000
MOST_JSON_BYTES = 1 << 20


class InvalidModel(Exception):
    """Why bytes are no model of a family; becomes a DataError where the source is known."""


def not_a_model(source: str, kind: str, model: bytes, why: object) -> DataError:
    """The error of bytes that are no model of a kind, with the way out."""
    return DataError(
        f"{source}: not {kind} ({len(model):,} bytes: {why}). Roll back to another model, or train again: trader retrain"
    )


def symbols_of(value: object) -> tuple[str, ...]:
    """The symbols of a list. Raises InvalidModel for what is none."""
    if not isinstance(value, list) or not 1 <= len(value) <= MOST_SYMBOLS:
        raise InvalidModel("symbols are missing")
    if not all(isinstance(symbol, str) and SYMBOL.fullmatch(symbol) for symbol in value):
        raise InvalidModel("symbols are no names")
    return tuple(value)


def json_of(model: bytes, schema: str, keys: Collection[str]) -> dict[str, Any]:
    """The JSON object of these bytes. Raises InvalidModel unless it has exactly these keys and this schema."""
    if len(model) > MOST_JSON_BYTES:
        raise InvalidModel(f"more than {MOST_JSON_BYTES:,} bytes")
    try:
        values = json.loads(model)
    except (ValueError, RecursionError) as error:
        raise InvalidModel(repr(error)[:120]) from None
    if not isinstance(values, dict) or values.keys() != set(keys):
        raise InvalidModel("it has other keys")
    if values["schema"] != schema:
        raise InvalidModel(f"its schema is not {schema}")
    return values


def whole_of(values: dict[str, Any], name: str, least: int, most: int) -> int:
    """A whole number under a name. Raises InvalidModel for anything else."""
    value = values[name]
    if type(value) is not int or not least <= value <= most:
        raise InvalidModel(f"{name} is no whole number from {least:,} to {most:,}")
    return value


def number_of(values: dict[str, Any], name: str, least: float, most: float) -> float:
    """A float under a name. Raises InvalidModel for anything else, NaN and infinity too."""
    return _number(values[name], name, least, most)


def numbers_of(values: dict[str, Any], name: str, most_values: int, most: float) -> tuple[float, ...]:
    """A list of at most so many floats of at most this size, whatever their sign. Raises InvalidModel for anything else."""
    found = values[name]
    if not isinstance(found, list) or len(found) > most_values:
        raise InvalidModel(f"{name} is no list of at most {most_values} numbers")
    return tuple(_number(value, name, -most, most) for value in found)


def _number(value: object, name: str, least: float, most: float) -> float:
    if type(value) is not float or not math.isfinite(value) or not least <= value <= most:
        raise InvalidModel(f"{name} is no number from {least:g} to {most:g}")
    return value
