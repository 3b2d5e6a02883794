"""Where the other side of a comparison runs: an interpreter of its own, made by `make peers`."""

from __future__ import annotations

import os

from benchmarks.scene import ROOT

HOME = ROOT / ".venv-peers"


def python(variable: str) -> str:
    """The interpreter that an environment variable names, or that of `make peers`. Raises RuntimeError without one."""
    found = os.environ.get(variable) or str(HOME / "bin" / "python")
    if not os.access(found, os.X_OK):
        raise RuntimeError(f"{found} is no interpreter; run: make peers (or set {variable})")
    return found
