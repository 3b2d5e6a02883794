"""Parameters and filters from the files that a person gives."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from trader.adapters.binance_spot import filters_of
from trader.core.errors import ConfigError
from trader.core.types import Filters


def read_info_row(path: Path) -> dict[str, Any]:
    """An exchangeInfo row (or a reply that holds one symbol). Raises ConfigError that names the file."""
    try:
        value = json.loads(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"filters {path} cannot be read: {error.strerror or error}") from None
    except ValueError as error:
        raise ConfigError(f"filters {path} is not JSON: {error}") from None
    if isinstance(value, dict) and isinstance(value.get("symbols"), list) and len(value["symbols"]) == 1:
        value = value["symbols"][0]
    if not isinstance(value, dict) or not isinstance(value.get("filters"), list):
        raise ConfigError(f"filters {path} must hold one exchangeInfo row with a list named filters")
    return value


def read_filters(path: Path) -> Filters:
    """The filters of an exchangeInfo row in a file. Raises ConfigError."""
    return filters_of(read_info_row(path), str(path))
