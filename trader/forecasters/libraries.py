"""Which library each shipped family is made by. Nothing is imported to know it."""

from __future__ import annotations

from collections.abc import Mapping

# What a family imports beyond the main dependencies, as `import` names it: the extra of the family's name installs it.
NEEDS: Mapping[str, str] = {
    "lightgbm": "lightgbm",
    "arima": "statsforecast",
    "prophet": "prophet",
    "tft": "torch",
}


def modules_of(family: str) -> tuple[str, ...]:
    """What a fit of a shipped family imports, by name. It need not be installed."""
    library = {"xgboost": "xgboost", **NEEDS}.get(family)
    return (f"trader.forecasters.{family}", *([library] if library else []))
