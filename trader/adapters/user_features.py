"""A user's own features: one Python file, named in trader.toml, never by a store."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

from trader.core.errors import ConfigError
from trader.core.lookahead import require_no_lookahead
from trader.core.presets import Preset, register
from trader.plain_file import NotTextError, read_plain, text_of

# Verbs that would train on a feature: they try it for look-ahead first.
TRAINS = ("retrain", "tune", "run", "report", "demo", "replay", "lookahead")


def load(path: Path, *, check: bool) -> list[Preset]:
    """Run the file and register every Preset that it defines at its top level.

    Raises ConfigError where the file cannot be run, defines no preset, or (with `check`) one that looks ahead.
    """
    try:
        text = text_of(read_plain(path))
    except (OSError, NotTextError) as error:
        raise ConfigError(f"features_module {path} cannot be read: {error}. Set it in trader.toml") from None
    spec = importlib.util.spec_from_file_location("trader_user_features", path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"features_module {path} is no Python file; name it *.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # whatever a user's file may raise
        raise ConfigError(f"features_module {path} failed: {type(error).__name__}: {error}") from error
    found = [value for value in vars(module).values() if isinstance(value, Preset)]
    own = [Preset(preset.name, preset.columns, preset.compute, text) for preset in found]
    if not own:
        raise ConfigError(
            f"features_module {path} defines no Preset; write one such as "
            f"MINE = Preset('mine', ('gap_1',), compute). See docs/features.md"
        )
    for preset in own:
        register(preset)
        if check:
            require_no_lookahead(preset)
    return own
