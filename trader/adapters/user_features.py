"""A user's own features: one Python file, named in trader.toml, never by a store."""

from __future__ import annotations

from pathlib import Path

from trader.adapters.user_code import run_file
from trader.core.errors import ConfigError
from trader.core.lookahead import require_no_lookahead
from trader.core.presets import Preset, register


def load(path: Path, *, check: bool) -> list[Preset]:
    """Run the file and register every Preset that it defines at its top level.

    Raises ConfigError where the file cannot be run, defines no preset, or (with `check`) one that looks ahead.
    """
    code = run_file(path, "features_module", "trader_user_features")
    found = [value for value in vars(code.module).values() if isinstance(value, Preset)]
    own = [Preset(preset.name, preset.columns, preset.compute, code.source) for preset in found]
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
