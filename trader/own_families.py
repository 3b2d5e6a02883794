"""A user's own families of models, from the file to families that may train: loaded, and checked by the contract of all families.

    python -m trader.own_families FILE

prints the hash of a model of each family of the file, fitted in that process: the bytes of a fit must not depend on the process.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path

from trader.adapters import user_features, user_models
from trader.adapters.talib_features import register_shipped
from trader.config import load_settings
from trader.core.errors import ConfigError
from trader.core.families import OwnFamily, register
from trader.core.ports import Forecaster
from trader.forecasters.contract import Finding, examine
from trader.forecasters.contract_scene import scene_of

PROCESSES = "another process fits the same bytes"
PATIENCE_S = 300


def load(path: Path, *, check: bool) -> list[OwnFamily]:
    """Run the file and register its families. With `check`, a family is checked when its forecaster is first asked for, so that a
    retrain that is not due costs nothing; asking raises ConfigError where the family does not keep what every family promises.

    Raises ConfigError where the file cannot be run, or does not define a family.
    """
    own = user_models.load(path)
    if check:
        for family in own:
            register(replace(family, make=partial(_checked, family)))
    return own


def _checked(own: OwnFamily) -> Forecaster:
    """Check the family, once in a process, then make its forecaster."""
    require_contract(own)
    return own.make()


@lru_cache(maxsize=16)
def require_contract(own: OwnFamily) -> None:
    """Raises ConfigError with the first three checks of the contract that failed."""
    broken = [it for it in findings(own) if it.problem]
    if broken:
        said = "; ".join(f"{it.check}: {it.problem}" for it in broken[:3])
        more = f"; and {len(broken) - 3} more" if len(broken) > 3 else ""
        raise ConfigError(
            f"family {own.family!r} of {own.path} does not keep what every family promises: {said}{more}. "
            f"See all: backtest model-check {own.path}"
        )


def findings(own: OwnFamily, horizon_hours: int = 1) -> Iterator[Finding]:
    """Every check of a family; the one across processes is the last, for it is the slowest."""
    sound = True
    for finding in examine(own.make(), horizon_hours):
        sound = sound and not finding.problem
        yield finding
    if sound and horizon_hours == 1:
        yield Finding(PROCESSES, _across_processes(own))


def _across_processes(own: OwnFamily) -> str:
    """ "" where a process that was started for it fits the same bytes, else what is wrong."""
    command = [sys.executable, "-m", "trader.own_families", own.path, own.family]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE_S)  # noqa: S603  # this very interpreter, the user's own file
    except subprocess.TimeoutExpired:
        return f"a fit took longer than {PATIENCE_S} s in a process of its own"
    if done.returncode:
        return f"a process of its own ended with {done.returncode}: {done.stderr.strip()[-200:]}"
    if done.stdout.splitlines()[-1:] != [digest(own)]:
        return "a fit in another process gave other bytes: iterate over sets in sorted order, and seed every random generator"
    return ""


def digest(own: OwnFamily) -> str:
    """The SHA-256 of a model of the family, fitted in this process on synthetic bars."""
    return hashlib.sha256(scene_of(own.make()).model).hexdigest()


def main(path: str, family: str) -> str:
    """What the other process prints: the digest of that family. It knows the same feature presets as the first one."""
    register_shipped()
    presets = load_settings().features_module
    if presets is not None:
        user_features.load(presets, check=False)
    return digest(next(it for it in user_models.load(Path(path)) if it.family == family))


if __name__ == "__main__":
    print(main(sys.argv[1], sys.argv[2]))  # noqa: T201  # to the process that started this one
