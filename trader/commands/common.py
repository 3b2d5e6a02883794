"""What several verbs share: options, parameters from a file, one answer for people or machines."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trader import terminal

if TYPE_CHECKING:
    from trader.core.params import Params

AsJson = Annotated[bool, typer.Option("--json", help="one line of JSON instead of words")]
ParamsFile = Annotated[Path | None, typer.Option("--params", help="P.json of the strategy")]
StoreDir = Annotated[
    str | None, typer.Option("--store", help="journal, models, events: a folder or s3://bucket/prefix")
]
BarsDir = Annotated[Path | None, typer.Option("--data", help="folder of collected bars")]
Symbol = Annotated[str | None, typer.Option(help="what is traded")]


def params_from(path: Path | None, serving: Params | None) -> Params:
    """The file's parameters, else the serving model's, else the documented defaults."""
    from trader.core.params import DEFAULT_PARAMS, params_of, parse_params

    if path is not None:
        return parse_params(terminal.read_text(path, "parameters"), str(path))
    return serving or params_of(DEFAULT_PARAMS, "the defaults")


def own_features(verb: str | None) -> None:
    """Make the presets of the file that the settings name known, where they name one."""
    from trader.config import load_settings

    path = load_settings().features_module
    if path is not None:
        from trader.user_features import TRAINS, load

        load(path, check=verb in TRAINS)


def answer(value: dict[str, Any], words: str, as_json: bool) -> None:
    """One line of JSON for a machine, else words for a person."""
    if as_json:
        terminal.emit(value)
    else:
        print(words)
