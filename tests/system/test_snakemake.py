"""Stages that Snakemake runs, as jobs of a real Slurm: the outputs are those of `backtest pipeline`, to the bytes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pipeline.kit import Kitchen
from tests.system.slurm_served import Served, slurm

ROOT = Path(__file__).resolve().parents[2]
# `make system` installs it here; it needs none of this project's libraries, and starts `backtest` as a program.
SNAKEMAKE = Path(os.environ.get("SNAKEMAKE_PYTHON", ROOT / ".venv-snakemake" / "bin" / "python"))
PATIENCE_S = 900
ON_SLURM = (
    "--executor slurm --jobs 4 --latency-wait 20 --slurm-no-account --slurm-status-command squeue "
    "--slurm-init-seconds-before-status-checks 2 --seconds-between-status-checks 2 "
    "--default-resources slurm_partition=main mem_mb=800 runtime=10"
)


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    """A Slurm; its folder's path is short, for the socket in it."""
    folder = Path(tempfile.mkdtemp(prefix="slurm"))
    try:
        with slurm(folder) as up:
            yield up
    finally:
        shutil.rmtree(folder)


def commands_in(folder: Path, served: Served) -> Path:
    """A folder with an srun that finds this Slurm: Snakemake's plugin removes the variable that names its file, which a cluster
    has at its usual place."""
    srun = folder / "commands" / "srun"
    srun.parent.mkdir()
    told = " ".join(f"{name}={value}" for name, value in served.environment.items())
    srun.write_text(f'#!/bin/sh\n{told} exec /usr/bin/srun "$@"\n')
    srun.chmod(0o755)
    return srun.parent


@pytest.mark.timeout(
    PATIENCE_S + 60
)  # a job a stage, one after the other, each a Snakemake and a `backtest` of its own
def test_stages_on_slurm_give_the_bytes_of_one_machine(served: Served, tmp_path: Path) -> None:
    """Every stage is a job of its own; afterwards `backtest status` has nothing to do, and a run only writes the manifest."""
    alone, cluster = (Kitchen(tmp_path / it) for it in ("alone", "cluster"))
    for kitchen in (alone, cluster):
        kitchen.folder.mkdir()
        kitchen.write()
    alone.run()
    assert cluster.ask("pipeline p.toml --export snakemake")[0] == 0
    path = os.pathsep.join(
        [str(commands_in(tmp_path, served)), str(Path(sys.executable).parent), os.environ["PATH"]]
    )
    environment = {**os.environ, **served.environment, "PATH": path, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [str(SNAKEMAKE), "-m", "snakemake", *ON_SLURM.split()],
        cwd=cluster.folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3_000:] + done.stderr[-3_000:]
    jobs = [int(it) for it in served.ask("squeue", "-h", "--states=all", "-o", "%i").split()]
    assert max(jobs) >= 7, (
        "a job a stage: they are numbered from 1, and squeue soon forgets those that have ended"
    )
    assert cluster.outputs() == alone.outputs()
    assert cluster.status() == {}
    assert cluster.run() == []
