"""Named sets of features: what a block of bars becomes, column by column. Row t sees rows <= t of its block.

The core knows no preset by itself. Whoever composes a program registers the shipped ones (adapters/talib_features.py)
and a person's own (adapters/user_features.py); see docs/features.md.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np

from trader.core.errors import ConfigError
from trader.core.text import plural
from trader.core.types import Bars, Floats

# Part of what a feature is: TA-Lib's running sums depend on where their block began. See features.py.
ANCHOR_BARS = 1_000


@dataclass(frozen=True, slots=True)
class Preset:
    """A named set of features. `compute` maps a block of n bars to (n, len(columns)) float64, NaN while undefined."""

    name: str
    columns: tuple[str, ...]
    compute: Callable[[Bars], Floats]
    source: str = ""  # the text of a user's whole file, which is hashed in place of one function

    @property
    def code_hash(self) -> str:
        """Of the columns and the source that computes them: a model is only served by the code it was trained on."""
        source = self.source or _source_of(self.compute)
        return hashlib.sha256(repr((self.columns, ANCHOR_BARS, source)).encode()).hexdigest()[:16]


@cache
def _source_of(compute: Callable[[Bars], Floats]) -> str:
    """Read once in a process: it is what was imported, and a bot compares it every hour."""
    return inspect.getsource(compute)


# What presets were called by earlier versions; files and models that say so still mean them.
EARLIER_NAMES = {"seed": "reference", "seed_code": "reference_code"}

_known: dict[str, Preset] = {}


def register(preset: Preset) -> None:
    """Make a preset known by its name, in this process. Safe to repeat. Raises ConfigError for a name that another
    preset has."""
    there = _known.get(EARLIER_NAMES.get(preset.name, preset.name))
    if there is not None and there != preset and there.code_hash != preset.code_hash:
        raise ConfigError(f"features: a preset {preset.name!r} exists already; choose another name for yours")
    _known[preset.name] = preset


def computed(preset: Preset, block: Bars) -> Floats:
    """The preset's rows of a block, (n, k) float64. Raises ConfigError, naming the preset, where its function fails or
    gives another shape: a row that is forgotten would shift every other."""
    try:
        values = preset.compute(block)
    except ConfigError:
        raise
    except Exception as error:  # whatever a user's function may raise
        raise ConfigError(
            f"features {preset.name!r} failed on {plural(len(block), 'bar')}: {type(error).__name__}: {error}. Mend the function"
        ) from error
    wanted = (len(block), len(preset.columns))
    if np.shape(values) != wanted:
        raise ConfigError(
            f"features {preset.name!r} gave the shape {np.shape(values)} for {plural(wanted[0], 'bar')} and "
            f"{plural(wanted[1], 'column')}; "
            f"return a row for every bar, NaN where a value is undefined"
        )
    return np.asarray(values, dtype=np.float64)


def preset_named(name: str) -> Preset:
    """The registered preset. Raises ConfigError that lists the known names."""
    try:
        return _known[EARLIER_NAMES.get(name, name)]
    except KeyError:
        known = f"known are {', '.join(_known)}" if _known else "none is registered in this process"
        raise ConfigError(f"features: there is no preset {name!r}; {known}") from None
