"""The same study on local processes, on Ray and on Slurm: what an engine costs, and what a second worker gains.

All on this machine, with two workers, so that engines differ and nothing else does. It runs in the environment of `make system`.
"""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import asdict
from typing import Any

from benchmarks.executors_side import ENGINES, Size
from benchmarks.figure import Figure, Sense
from benchmarks.scene import ROOT

PYTHON = ROOT / ".venv-system" / "bin" / "python"
# What an engine may cost: its study beside the local one, and ms a task.
LIMITS = {"ray": (1.10, 5.0), "slurm": (1.15, 100.0)}


def run() -> list[Figure]:
    """20 trials of 24 windows, once."""
    return _figures(Size(20, 24, 1, 500, 5.0, 4, 1))


def run_full() -> list[Figure]:
    """Medians of five."""
    return _figures(Size(20, 24, 5, 500, 5.0, 4, 5))


def run_small() -> list[Figure]:
    """Two trials of two windows."""
    return _figures(Size(2, 2, 1, 20, 0.1, 4, 1))


def _figures(size: Size) -> list[Figure]:
    told, note = _measured(size)
    if told is None:
        return [Figure("executors", None, note=note)]
    local = told["local"]
    found = {it for engine in told.values() for it in engine["found"]}
    figures = [Figure("different studies found", len(found), "exactly", 1, is_result=True)]
    for engine in ENGINES:
        of = told[engine]
        study, task = LIMITS.get(engine, (None, None))
        sense: Sense | None = "at most" if engine in LIMITS else None
        moved = f"start {of['start_s']:.1f} s; {of['tasks']:,} tasks, {_mb(of)}"
        beside = of["study_s"] / local["study_s"]
        figures += [
            Figure(f"{engine}: the study beside the local one", beside, sense, study, note=moved),
            Figure(f"{engine}: a small task", of["task_ms"], sense, task, "ms"),
            Figure(f"{engine}: two workers beside one", of["pairs"], "at least", 1.8),
        ]
    return figures


def _mb(of: dict[str, Any]) -> str:
    sizes = [of[name] / 2**20 for name in ("task_bytes", "shared_bytes", "answer_bytes")]
    return "{:.2f} MB of their own, {:.2f} MB shared, answers {:.2f} MB".format(*sizes)


def _measured(size: Size) -> tuple[dict[str, Any] | None, str]:
    """What the other interpreter found, or None and why there is none."""
    if not os.access(PYTHON, os.X_OK):
        return None, f"{PYTHON} is no interpreter; run: make system"
    words = [str(PYTHON), "-m", "benchmarks.executors_side", json.dumps(asdict(size))]
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=ROOT)
    if done.returncode:
        return None, done.stderr.strip().splitlines()[-1]
    return json.loads(done.stdout.splitlines()[-1]), ""
