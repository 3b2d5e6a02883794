"""A user's own features and families, and the shipped presets: what of their code a stage reaches."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

from backtest.pipeline.source_module import script_of
from backtest.pipeline.source_text import AT_IMPORT
from trader.core.families import own_family
from trader.core.features import preset_named


def preset_code(name: str) -> tuple[tuple[str, ...], dict[str, Any]]:
    """Of a feature preset: the definitions that compute it; of a user's own file its hash, as a parameter. Raises ConfigError
    for a preset that is not known."""
    preset = preset_named(name)
    if preset.source:
        return (), {"features_file": _hash(preset.source)}
    compute = inspect.unwrap(preset.compute)
    return (f"{compute.__module__}:{compute.__qualname__}",), {"columns": list(preset.columns)}


def families_file(family: str) -> dict[str, Any]:
    """Of a user's own family the hash of its file, as a parameter; nothing of a shipped one."""
    own = own_family(family)
    return {} if own is None else {"family_file": _hash(own.source)}


def _hash(source: str) -> str:
    """Of what a file says, without comments and white space."""
    return script_of("__main__", source.encode(), Path("your file")).definitions[AT_IMPORT].hash
