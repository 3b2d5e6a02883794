"""What is tried on each series: families by name, and named variants of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from trader.core.errors import ConfigError
from trader.core.model_params import FAMILIES, NAIVE, completed
from trader.core.params import Params, params_of
from trader.core.ports import Forecaster, ForecasterOf
from trader.core.series import FitsSeries

Freq = Literal["1h", "1d"]
Score = Literal["pinball", "net_sharpe"]
# Steps ahead of every forecast: hours, or days.
STEPS = 24
# A variant is a family with some keys that differ from its defaults.
VARIANTS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "prophet-additive": ("prophet", {"seasonality": "additive"}),
    "prophet-multiplicative": ("prophet", {"seasonality": "multiplicative"}),
}


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A name, the parameters that it stands for, and their family."""

    name: str
    params: Params
    forecaster: Forecaster

    def fitted_on(self, symbols: Sequence[str]) -> Candidate:
        """The same with the symbols that a fit sees; one alone needs no mention."""
        if len(symbols) < 2:
            return self
        params = params_of({**self.params.as_json(), "train_symbols": sorted(symbols)}, self.name)
        return replace(self, params=params)


def candidates_of(
    names: Sequence[str], base: Params, freq: Freq, forecaster_of: ForecasterOf, steps: int = STEPS
) -> list[Candidate]:
    """The naive forecast first, which every other is compared with, then those that are named, each once.

    Everything but the model is the base's; a family that the base names keeps its keys. steps: ahead, at least. Raises
    ConfigError for a name that is not known, a family that is not installed, and one that cannot be fitted at this frequency.
    """
    wanted = dict.fromkeys((NAIVE, *(name.strip() for name in names if name.strip())))
    return [_candidate(name, base, freq, forecaster_of, steps) for name in wanted]


def _candidate(name: str, base: Params, freq: Freq, forecaster_of: ForecasterOf, steps: int) -> Candidate:
    family, changes = VARIANTS.get(name, (name, {}))
    if family not in FAMILIES:
        known = ", ".join((*FAMILIES, *(it for it, (of, _) in VARIANTS.items() if of in FAMILIES)))
        raise ConfigError(f"--families: there is no {name!r}; there are {known}. See: trader models families")
    forecaster = forecaster_of(family)
    if freq == "1d" and not isinstance(forecaster, FitsSeries):
        raise ConfigError(
            f"--families: {name} reads hours, not days. With --freq 1d name families of one symbol's closes, such as naive"
        )
    if freq == "1h" and not hasattr(forecaster, "fit"):
        raise ConfigError(f"--families: {name} is fitted on days only")
    model = base.as_json()["model"] if base.model.family == family else {"family": family}
    model = completed({**model, **changes})
    if "forecast_hours" in FAMILIES[family].model_fields:
        model["forecast_hours"] = max(steps, base.horizon_hours)
    # Which symbols a fit sees follows from the series.
    shared = {key: value for key, value in base.as_json().items() if key != "train_symbols"}
    return Candidate(name, params_of({**shared, "model": model}, f"--families {name}"), forecaster)
