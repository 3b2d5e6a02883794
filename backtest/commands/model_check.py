"""`backtest model-check`: does a user's own family of models keep what every family promises?"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from backtest.commands.options import AsJson
from trader import terminal
from trader.core.errors import ConfigError

HORIZONS = (1, 4)


def model_check(
    file: Annotated[Path, typer.Argument(help="a Python file with families of models of your own")],
    as_json: AsJson = False,
) -> None:
    """Run the contract of all families over the families of a file: fits, predictions, what must be refused.

    Exit 0 where every promise is kept, else 2, each broken one named. Verbs that train run the same checks by themselves.
    Example: backtest model-check my_family.py
    """
    from trader import own_families

    rows = [
        {"family": family.family, "horizon_hours": hours, **asdict(finding)}
        for family in own_families.load(file, check=False)
        for hours in HORIZONS
        for finding in own_families.findings(family, hours)
    ]
    broken = [row for row in rows if row["problem"]]
    if as_json:
        terminal.emit(rows)
    else:
        _show(file, rows)
    if broken:
        raise SystemExit(ConfigError.exit_code)


def _show(file: Path, rows: list[dict[str, object]]) -> None:
    shown = [
        (
            f"{row['check']}",
            f"{row['family']}, {row['horizon_hours']} h",
            "BROKEN" if row["problem"] else "kept",
        )
        for row in rows
    ]
    terminal.show(terminal.table(f"{file}: what a family promises", shown, ("", "family, horizon", "")))
    for row in rows:
        if row["problem"]:
            terminal.show(f"  {row['check']} ({row['horizon_hours']} h): {row['problem']}")
