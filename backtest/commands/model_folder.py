"""A model that a person named to a verb of `backtest`: its folder in a bot's store, its card, its newest certificate."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trader.core.certificate import Certificate, read_certificate
from trader.core.errors import ConfigError, DataError
from trader.core.text import plural

if TYPE_CHECKING:
    from trader.core.model import ModelCard

STORE = Path("state")
CHAMPION = "champion"
ModelsStore = Annotated[Path, typer.Option("--store", help="a folder that holds a bot's models")]
OptionalStore = Annotated[
    Path | None, typer.Option("--store", help="a folder that holds a bot's models; default: state")
]


def model_folder(model: str, store: Path, symbol: str | None = None) -> Path:
    """The folder of a model that a person named: by its id, the beginning of it, its path, or as champion. symbol: whose
    champion; by default of the only symbol that has one. Raises ConfigError where there is none, or several."""
    given = Path(model)
    folder = given if given.is_dir() else given.parent if given.is_file() else None
    if folder is not None:
        if not (folder / "model").is_file() or not (folder / "card").is_file():
            raise ConfigError(f"{folder} is no folder of a model: it needs the files model and card")
        return folder
    if not (store / "models").is_dir():
        raise ConfigError(
            f"{store} holds no models, so {model!r} is not there. Name the store: --store DIR; copy a bucket first: trader store "
            "sync"
        )
    if model == CHAMPION:
        model = _newest_champion(store, symbol)
    found = sorted(it for it in (store / "models").iterdir() if it.name.startswith(model))
    if len(found) != 1:
        what = (
            f"names {plural(len(found), 'model')}: {', '.join(it.name for it in found)}"
            if found
            else "names no model"
        )
        raise ConfigError(f"{model!r} {what} in {store}. See: trader models list --store {store}")
    return found[0]


def _newest_champion(store: Path, symbol: str | None) -> str:
    """The id of the model that was named champion last, whether its first hour has come or not. Raises ConfigError."""
    from trader.core.tags import split

    events = sorted((store / "state").glob(f"{symbol or '*'}/{CHAMPION}/[0-9]*"))
    symbols = sorted({it.parts[-3] for it in events})
    if len(symbols) != 1:
        none = f"no model of {symbol or 'any symbol'} was named champion"
        what = f"each of {', '.join(symbols)} has one" if symbols else none
        raise ConfigError(
            f"champion names no single model in {store}: {what}. Give a model's id: trader models list --store {store}"
        )
    try:
        said = json.loads(split(events[-1].read_bytes())[0])
        return str(said["model_id"])
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise ConfigError(
            f"{events[-1]} does not say which model is champion ({error!r:.80}). Check the store: trader store verify"
        ) from None


def read_model(folder: Path) -> tuple[ModelCard, bytes]:
    """A model's card and bytes, without the tags of a signed store. Raises DataError where they do not belong together."""
    from trader.core.model import read_card
    from trader.core.tags import split

    try:
        text, model = ((folder / name).read_bytes() for name in ("card", "model"))
    except OSError as error:
        raise DataError(f"{folder} cannot be read: {error.strerror}. Restore it from a copy") from None
    text, model = split(text)[0], split(model)[0]
    return read_card(text, model, folder.resolve().name, str(folder / "card")), model


def newest_certificate_in(folder: Path, card: ModelCard, symbol: str) -> tuple[int, Certificate] | None:
    """The newest certificate of a model for a symbol, with its number; None where it has none. Raises DataError for one that is
    none, or of another model."""
    from trader.core.tags import split

    there = folder / "certificate"
    files = (
        sorted((it for it in there.iterdir() if it.name.isdigit()), reverse=True) if there.is_dir() else []
    )
    for file in files:
        try:
            text = split(file.read_bytes())[0]
        except OSError as error:
            raise DataError(f"{file} cannot be read: {error.strerror}. Restore it from a copy") from None
        found = read_certificate(text, card, str(file))
        if found.symbol == symbol:
            return int(file.name), found
    return None
