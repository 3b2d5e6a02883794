"""FreqAI walking forward with a study's own parameters, a process a trial: what twenty of them take.

FREQAI_PYTHON names an interpreter that has freqtrade[freqai], FREQAI_RUNNER the runner that enters it offline.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.bench_process import environment, prepare
from benchmarks.scene import median, process

# The runner reads its parameters and its training days from its own module.
CODE = """
import argparse, importlib.util, json, sys
spec = importlib.util.spec_from_file_location("runner", sys.argv[1])
runner = importlib.util.module_from_spec(spec)
spec.loader.exec_module(runner)
runner.PARAMS, runner.TRAIN_DAYS = json.loads(sys.argv[2]), int(sys.argv[3])
runner.freqai(argparse.Namespace(id="study", n_jobs=1, keep=False, profile=None, out=None, save_models=False,
                                 tensorboard=False, result_cache=False))
"""


def at_hand() -> bool:
    """Whether there is a FreqAI to run."""
    return bool(os.environ.get("FREQAI_PYTHON") and os.environ.get("FREQAI_RUNNER"))


def walls(folder: Path, rows: Sequence[dict[str, Any]]) -> list[float]:
    """Seconds of each run, from exec to exit, with the parameters of these lines of trials.jsonl."""
    python, runner = os.environ["FREQAI_PYTHON"], os.environ["FREQAI_RUNNER"]
    prepare(folder, python, runner)
    found = []
    for row in rows:
        trees, days = json.dumps(row["params"]["xgboost"]), str(row["params"]["look_back_days"])
        found.append(process([python, "-c", CODE, runner, trees, days], environment(folder, 20)).wall_s)
    return found


def of_twenty(seconds: Sequence[float]) -> float:
    """What twenty such runs take, from those that were timed."""
    return 20 * (sum(seconds) / len(seconds) if len(seconds) > 2 else median(seconds))
