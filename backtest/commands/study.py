"""`backtest study`: what a study's folder holds, for other programs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from backtest.commands.options import AsJson
from trader import terminal
from trader.core.text import plural

study = typer.Typer(no_args_is_help=True, help="Studies that `backtest tune --study` has kept.")

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="folder of the study, finished or still running")]
StorageUrl = Annotated[
    str,
    typer.Option(
        "--storage",
        help="database of Optuna: sqlite:///FILE or postgresql://USER@HOST/DATABASE; its tables are made",
    ),
]
Name = Annotated[
    str | None, typer.Option(help="name of the study there; default: the folder's, with a part of a hash")
]


@study.callback()
def _group() -> None:
    """A group, though it has one verb today."""


@study.command()
def export(directory: Folder, storage: StorageUrl, name: Name = None, as_json: AsJson = False) -> None:
    """Write a study's trials into Optuna's storage, where optuna-dashboard shows them. Repeating it adds what has ended since.

    Example: backtest study export study --storage sqlite:///studies.db
    """
    from backtest.study.export import export_study
    from backtest.study.storage import Storage

    kept = Storage.at(storage)
    done = export_study(directory, kept, name)
    if as_json:
        terminal.show(
            json.dumps({"name": done.name, "added": done.added, "known": done.known, "later": done.later})
        )
        return
    later = f"; {plural(done.later, 'trial')} will follow when an earlier one has ended" if done.later else ""
    terminal.show(
        terminal.paragraph(
            f"{plural(done.added, 'trial')} added to study {done.name} in {kept}, {done.known:,} known{later}"
        )
    )
