"""What every family refuses of stored bytes, and in which words."""

from __future__ import annotations

import re

from trader.core.errors import DataError

# As a file of bars may be named after; a comma separates symbols where they are one text.
SYMBOL = re.compile(r"[!-+\--~]{1,64}")
MOST_SYMBOLS = 1_000


class InvalidModel(Exception):
    """Why bytes are no model of a family; becomes a DataError where the source is known."""


def not_a_model(source: str, kind: str, model: bytes, why: object) -> DataError:
    """The error of bytes that are no model of a kind, with the way out."""
    return DataError(
        f"{source}: not {kind} ({len(model):,} bytes: {why}). Roll back to another model, or train again: trader retrain"
    )


def symbols_of(value: object) -> tuple[str, ...]:
    """The symbols of a list. Raises Refused for what is none."""
    if not isinstance(value, list) or not 1 <= len(value) <= MOST_SYMBOLS:
        raise InvalidModel("symbols are missing")
    if not all(isinstance(symbol, str) and SYMBOL.fullmatch(symbol) for symbol in value):
        raise InvalidModel("symbols are no names")
    return tuple(value)
