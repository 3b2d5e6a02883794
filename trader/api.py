"""What a Python file of your own imports: a feature preset (docs/features.md) or a family of models (docs/families.md)."""

from __future__ import annotations

from pydantic import Field

from trader.core.errors import DataError
from trader.core.forecast import LEVELS, Forecast, Traits
from trader.core.model_params import FamilyParams
from trader.core.panel import Panel
from trader.core.params import Params
from trader.core.presets import Preset
from trader.core.types import Bars, Floats, Ints, Matrix
from trader.forecasters.arrays import ArrayForecaster
from trader.forecasters.rows import RowForecaster, RowPredictor, StagedRowPredictor

__all__ = [
    "LEVELS",
    "ArrayForecaster",
    "Bars",
    "DataError",
    "FamilyParams",
    "Field",
    "Floats",
    "Forecast",
    "Ints",
    "Matrix",
    "Panel",
    "Params",
    "Preset",
    "RowForecaster",
    "RowPredictor",
    "StagedRowPredictor",
    "Traits",
]
