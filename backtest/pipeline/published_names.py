"""What the stage publish writes, by name."""

from __future__ import annotations

from collections.abc import Sequence


def named(symbol: str, family: str) -> str:
    """What the files of a model begin with."""
    return f"{symbol}-{family}"


def published_files(pairs: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    """Of these symbols and families."""
    names = [named(*pair) for pair in pairs]
    models = [it for name in names for it in (f"models/{name}", f"models/{name}.json")]
    more = [f"{folder}/{name}.json" for folder in ("params", "certificates") for name in names]
    return ("table.csv", "table.json", "forecasts.csv", "forecasts.html", *models, *more)
