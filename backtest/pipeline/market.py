"""Bars from the market: `trader collect`, a program of its own, brings them into the pipeline's folder of bars."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from backtest.pipeline.job import Job
from trader.core.errors import ConfigError, Retry
from trader.core.types import HOUR_MS, iso, parse_hour

# Bars before the first hour: the longest look-back of a search, and what features need before it.
_DAYS_BEFORE = 240


def bring_from_market(job: Job) -> None:
    """Nothing for a job that reads files. Raises Retry where the market does not answer, ConfigError for what a person must
    mend."""
    if job.params.get("source") != "market":
        return
    start = parse_hour(job.params["from"]) - _DAYS_BEFORE * 24 * HOUR_MS
    stop = parse_hour(job.params["to"]) + HOUR_MS
    words = ["--from", iso(start), "--to", iso(stop), "--symbols", job.params["symbol"]]
    words += ["--bars", str(Path(job.hints["file"]).parent), "--json"]
    command = [sys.executable, "-c", "from trader.cli import main; main()", "collect", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  # this interpreter, these words
    if done.returncode:
        said = done.stderr.strip().splitlines()[-1:] or [f"it ended with {done.returncode}"]
        kind = Retry if done.returncode == Retry.exit_code else ConfigError
        raise kind(f"trader collect: {said[0]}")
