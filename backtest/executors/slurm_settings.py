"""What Slurm is asked for: options of the command line, over the table [slurm] of backtest.toml in the working folder."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from trader.core.errors import ConfigError

FILE = "backtest.toml"
_TABLE = "slurm"


@dataclass(frozen=True, slots=True)
class SlurmSettings:
    """As sbatch takes them, None where the cluster's own default holds. folder: what all machines see."""

    partition: str | None = None
    time: str | None = None
    memory: str | None = None
    account: str | None = None
    folder: str | None = None

    def as_sbatch(self) -> dict[str, str]:
        """The options of sbatch by their names."""
        asked = {
            "partition": self.partition,
            "time": self.time,
            "mem": self.memory,
            "account": self.account,
        }
        return {name: value for name, value in asked.items() if value is not None}


def slurm_settings(options: Mapping[str, Any], working_folder: Path) -> SlurmSettings:
    """An option that was given wins over the file. Raises ConfigError for a file that says something else."""
    names = [it.name for it in fields(SlurmSettings)]
    filed = _of_file(working_folder / FILE, names)
    given = {name: options.get(f"slurm_{name}") for name in names}
    found = {name: filed.get(name) if value is None else value for name, value in given.items()}
    for name, value in found.items():
        if value is not None and (not value.strip() or "\n" in value):
            raise ConfigError(f"--slurm-{name} is {value!r}; give a value as sbatch takes it, or none at all")
    return SlurmSettings(**found)


def _of_file(file: Path, known: list[str]) -> dict[str, str]:
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ConfigError(f"{file} cannot be read: {error}") from None
    table = content.get(_TABLE, {})
    if not isinstance(table, dict):
        raise ConfigError(
            f"{file}: [{_TABLE}] is no table; write [{_TABLE}], then a line for each of {_listed(known)}"
        )
    unknown = sorted(set(table) - set(known))
    if unknown:
        raise ConfigError(f"{file}: [{_TABLE}] does not know {_listed(unknown)}; it knows {_listed(known)}")
    for name, value in table.items():
        if not isinstance(value, str):
            raise ConfigError(f'{file}: [{_TABLE}] {name} is {value!r}; write it as text, {name} = "{value}"')
    return table


def _listed(names: list[str]) -> str:
    return ", ".join(names)
