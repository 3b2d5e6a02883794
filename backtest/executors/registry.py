"""The executors by their name. To add one: a module with `open_executor(setup)`, and its line here."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trader.core.errors import ConfigError
from trader.core.text import how_to_install

if TYPE_CHECKING:
    from backtest.executors.protocol import Executor


@dataclass(frozen=True, slots=True)
class Option:
    """An option of the command line that one executor reads: `ray_address` is --ray-address. kind: str, int or bool."""

    name: str
    help: str
    kind: type = str


@dataclass(frozen=True, slots=True)
class Registered:
    """Where an executor stands; its module is imported when it is chosen."""

    module: str
    summary: str
    options: tuple[Option, ...] = ()
    needs: str = ""  # a library, of the extra that has the executor's name


EXECUTORS: dict[str, Registered] = {
    "local": Registered("backtest.executors.local", "threads and processes of this machine"),
    "ray": Registered(
        "backtest.executors.ray_cluster",
        "workers of a Ray cluster, or of a Ray of this command's own",
        (
            Option(
                "ray_address",
                "HOST:PORT of a Ray cluster's head, on a machine of the cluster; ray://HOST:PORT from outside; default: a Ray of "
                "this command's own with --workers workers",
            ),
            Option(
                "ray_cpus",
                "tasks at the same time on the cluster of --ray-address; more than its CPUs let it grow; default: its CPUs now",
                int,
            ),
            Option(
                "ray_open_ports",
                "let a Ray of this command's own listen on all addresses, where it cannot have a network of its own",
                bool,
            ),
        ),
        needs="ray",
    ),
    "slurm": Registered(
        "backtest.executors.slurm",
        "job arrays of a Slurm cluster",
        (
            Option("slurm_partition", "Slurm's partition; default: the cluster's"),
            Option(
                "slurm_time", "time limit of a worker's job, as sbatch takes it; default: the partition's"
            ),
            Option("slurm_memory", "memory of a worker's job, such as 2G; default: the partition's"),
            Option("slurm_account", "account that the jobs are charged to; default: the user's own"),
            Option("slurm_folder", "folder that all machines see; default: slurm/ in the folder of results"),
        ),
        needs="submitit",
    ),
}


def _nobody(_: str) -> None:
    """Hears what nobody asked to be told."""


@dataclass(frozen=True, slots=True)
class Setup:
    """What an executor is opened with. folder: the study's, where a coordinator that was killed finds again what it had
    given out; None where nothing outlives the command. options: by name, None or False where they were not given. tell: hears
    what a person who waits would like to know."""

    workers: int
    folder: Path | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    tell: Callable[[str], None] = _nobody


def require_installed(option: str, library: str, extra: str) -> None:
    """Raises ConfigError, naming the option that needs it and the extra that has it, for a library that is not installed."""
    if importlib.util.find_spec(library) is None:
        raise ConfigError(f"{option} needs {library}, which is not installed: {how_to_install(extra)}")


@contextmanager
def open_executor(name: str, setup: Setup, tell: Callable[[str], None] = _nobody) -> Iterator[Executor]:
    """An executor by its name, closed at the end; lost tasks are given again, and `tell` hears of it. Raises
    ConfigError for a name that is not registered, or whose library is not installed."""
    from backtest.executors.futures import Resubmitting

    chosen = EXECUTORS.get(name)
    if chosen is None:
        known = "; ".join(f"{it} ({what.summary})" for it, what in EXECUTORS.items())
        raise ConfigError(f"--executor {name} is not known. Choose one of: {known}")
    if chosen.needs:
        require_installed(f"--executor {name}", chosen.needs, name)
    inner: Executor = importlib.import_module(chosen.module).open_executor(replace(setup, tell=tell))
    executor = Resubmitting(inner, tell)
    try:
        yield executor
    finally:
        executor.close()
