"""What `backtest pipeline` begins before its own imports: those of its workers, in the process that will fork them.

Both take about as long, so that workers are there when the first stage needs one. Whether one will is guessed from the dates of
files: a wrong guess costs a second of another core, or what it costs to begin later.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from backtest.executors.fork_server import HAS_FORKS, begin_early
from trader.core.errors import ConfigError
from trader.forecasters.libraries import modules_of
from trader.terminal import read_text

_STAGES = ("stages_fitted", "stages_judged", "stage_check", "stage_publish")
# With one of these it is another errand, or others compute.
_OTHERS = ("--executor", "--stage", "--export", "--manifest", "--help")


def begin_workers(words: Sequence[str]) -> None:
    """words: what follows the verb. Nothing that is wrong with them is said here."""
    options = [word.partition("=")[0] for word in words]
    file = next((Path(word) for word in words if word.endswith(".toml")), None)
    if file is None or not HAS_FORKS or any(it in _OTHERS for it in options):
        return
    with suppress(ConfigError, OSError, ValueError, KeyError, TypeError, AttributeError):
        said: dict[str, Any] = tomllib.loads(read_text(file, "pipeline"))["pipeline"]
        if _workers(words) > 1 and _has_work(file, file.parent / said["out"]):
            families = [module for family in said["families"] for module in modules_of(family)]
            begin_early([*(f"backtest.pipeline.{it}" for it in _STAGES), *families])


def _workers(words: Sequence[str]) -> int:
    """As --workers says, else as many as there are cores."""
    for word, following in zip(words, (*words[1:], ""), strict=True):
        option, equals, value = word.partition("=")
        if option == "--workers":
            told = value if equals else following
            return int(told) if told.isdecimal() else 0
    return os.cpu_count() or 1


def _has_work(file: Path, out: Path) -> bool:
    """Whether the pipeline's file or a stage is newer than the last run that ended."""
    ended = max((it.stat().st_mtime_ns for it in out.glob("manifests/*.json")), default=0)
    journal = out / "journal.jsonl"
    return ended < max(file.stat().st_mtime_ns, journal.stat().st_mtime_ns if journal.exists() else 0)
