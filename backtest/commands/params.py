"""`backtest params`: a file of parameters to begin from, and what each of its keys means."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Annotated

import typer

from backtest.commands.options import AsJson
from trader import terminal
from trader.core.errors import ConfigError
from trader.core.model_params import DEFAULT_MODEL, FAMILIES, default_model, keys_of
from trader.core.param_keys import Key, keys_in, range_of, shown
from trader.core.params import Params, template

WIDTH = 80
HEAD = ("key", "default", "meaning [range]")

Family = Annotated[str, typer.Option(help="family of models whose keys `model` shows")]
Explain = Annotated[bool, typer.Option("--explain", help="a table of every key instead of a file")]


def params(
    family: Family = DEFAULT_MODEL["family"], explain: Explain = False, as_json: AsJson = False
) -> None:
    """Write a template of P.json: every key with its default. A file of yours need name only what differs from it.

    Example: backtest params --family lightgbm > P.json
    """
    if family not in FAMILIES:
        raise ConfigError(f"there is no family of models {family!r}; there are {', '.join(FAMILIES)}")
    if not explain:
        values = template(family)
        terminal.show(json.dumps(values, indent=None if as_json else 1))
    elif as_json:
        terminal.emit([asdict(key) for key in explained(family)])
    else:
        terminal.show("\n".join(table(list(explained(family)))))
        terminal.show("\nA file need name only what differs; a model is stored with every key.")


def explained(family: str) -> Iterator[Key]:
    """Every key of a file of parameters, those of `model` by their path."""
    for key in keys_in(Params):
        if key.name != "model":
            yield key
            continue
        yield Key("model.family", family, None, None, None, None, key.meaning, tuple(FAMILIES))
        chosen = default_model(family)
        for inside in keys_of(family):
            yield replace(inside, name=f"model.{inside.name}", default=chosen[inside.name])


def table(keys: list[Key]) -> Iterator[str]:
    """For a person, WIDTH columns wide; a meaning that needs more lines has them."""
    rows = [(key.name, _default(key), _meaning(key)) for key in keys]
    name, default = (max(len(row[column]) for row in [HEAD, *rows]) + 2 for column in (0, 1))
    for at, row in enumerate([HEAD, *rows]):
        first, *more = textwrap.wrap(row[2], WIDTH - name - default)
        yield f"{row[0]:<{name}}{row[1]:<{default}}{first}"
        yield from (" " * (name + default) + line for line in more)
        if not at:
            yield "-" * WIDTH


def _meaning(key: Key) -> str:
    return f"{key.meaning} [{range_of(key)}]" if range_of(key) else key.meaning


def _default(key: Key) -> str:
    return "null" if key.default is None else shown(key.default)
