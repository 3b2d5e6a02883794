"""Which families of models there are: the only place that knows them all. A family's library is imported when it is used.

A family of a user's own file (docs/families.md) is known here once `trader.core.families` has registered it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING

from trader.core.errors import ConfigError
from trader.core.families import GIVE_THE_FILE, own_families, own_family
from trader.core.forecast import Traits
from trader.core.text import how_to_install
from trader.forecasters.libraries import NEEDS

if TYPE_CHECKING:
    from trader.core.exports import ExportForm
    from trader.core.ports import Forecaster


def _xgboost() -> Forecaster:
    from trader.forecasters.xgboost import XGBoostForecaster

    return XGBoostForecaster()


def _lightgbm() -> Forecaster:
    from trader.forecasters.lightgbm import LightGBMForecaster

    return LightGBMForecaster()


def _naive() -> Forecaster:
    from trader.forecasters.naive import NaiveForecaster

    return NaiveForecaster()


def _arima() -> Forecaster:
    from trader.forecasters.arima import ArimaForecaster

    return ArimaForecaster()


def _prophet() -> Forecaster:
    from trader.forecasters.prophet import ProphetForecaster

    return ProphetForecaster()


def _tft() -> Forecaster:
    from trader.forecasters.tft import TFTForecaster

    return TFTForecaster()


# Family -> how its forecaster is made. A new family is added here.
BUILDERS: Mapping[str, Callable[[], Forecaster]] = {
    "xgboost": _xgboost,
    "lightgbm": _lightgbm,
    "naive": _naive,
    "arima": _arima,
    "prophet": _prophet,
    "tft": _tft,
}


def forecaster_of(family: str) -> Forecaster:
    """The forecaster of a family. Raises ConfigError for a family that is not known, or whose library is not installed."""
    own = own_family(family)
    if own is not None:
        return own.make()
    if family not in BUILDERS:
        known = ", ".join((*BUILDERS, *own_families()))
        raise ConfigError(
            f"there is no family of models {family!r}; there are {known}. See: trader models families. If it is your own, "
            f"{GIVE_THE_FILE}"
        )
    if family not in installed():
        raise ConfigError(
            f"family {family!r} is not installed (there is no {NEEDS[family]}). Install it: {way_to(family)}"
        )
    return BUILDERS[family]()


def reader_of(family: str) -> Forecaster:
    """The forecaster of a known family, whose library need not be installed: for what does without it."""
    own = own_family(family)
    if own is None and family not in BUILDERS:
        return forecaster_of(family)  # raises
    return (BUILDERS[family] if own is None else own.make)()


def traits_of(family: str) -> Traits:
    """What a known family is; its library need not be installed."""
    return reader_of(family).traits


def export_families(form: ExportForm) -> tuple[str, ...]:
    """The shipped families whose models can be written in a form."""
    from trader.core.ports import Exportable

    found = ((family, make()) for family, make in BUILDERS.items())
    return tuple(family for family, it in found if isinstance(it, Exportable) and form in it.export_forms)


def installed() -> tuple[str, ...]:
    """The families whose libraries are there, a user's own last."""
    shipped = (it for it in BUILDERS if it not in NEEDS or find_spec(NEEDS[it]) is not None)
    return (*shipped, *own_families())


def way_to(family: str) -> str:
    """The command that installs the extra of a family; "" for one that needs none."""
    return how_to_install(family) if family in NEEDS else ""
