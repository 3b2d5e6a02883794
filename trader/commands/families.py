"""`trader models families`: which families of models there are, and what each can be told."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import asdict
from typing import Annotated, Any

import typer

from trader import terminal
from trader.commands.common import AsJson
from trader.core.errors import ConfigError
from trader.core.families import own_family
from trader.core.model_params import DEFAULT_MODEL, FAMILIES, keys_of
from trader.core.param_keys import Key, range_of, shown

WIDTH = 80
NEEDED = "needed"
HEAD = ("key", "default", "range", "meaning")


def families(
    family: Annotated[str | None, typer.Argument(help="one of them; default: all")] = None,
    as_json: AsJson = False,
) -> None:
    """The families that `model` in P.json can name: installed or not, what each reads, its keys with default and range.

    Example: trader models families lightgbm
    """
    if family is not None and family not in FAMILIES:
        raise ConfigError(f"there is no family of models {family!r}; there are {', '.join(FAMILIES)}")
    told = [_told(name) for name in ([family] if family else FAMILIES)]
    if as_json:
        terminal.emit(told)
        return
    for one in told:
        terminal.show("\n".join(_lines(one)), end="\n\n")
    terminal.show('In P.json: {"model": {"family": NAME, KEY: VALUE}}, a needed key always')
    terminal.show("How one of your own is added: docs/families.md")


def _told(family: str) -> dict[str, Any]:
    """A family for a machine. reads: rows of features, or the series of the last `context_hours` bars."""
    from trader.forecasters.registry import installed, traits_of, way_to

    traits, own = traits_of(family), own_family(family)
    return {
        "family": family,
        "what": FAMILIES[family].__doc__,
        "installed": family in installed(),
        "install": way_to(family) or None,
        "module": own.path if own else None,
        "scope": traits.scope,
        "reads": traits.reads,
        "context_hours": traits.context_hours,
        "keys": [asdict(key) for key in keys_of(family)],
        "without_params": _without_params(family),
    }


def _without_params(family: str) -> dict[str, Any] | None:
    """What the default family is told where no P.json is given."""
    if DEFAULT_MODEL["family"] != family:
        return None
    return {key: value for key, value in DEFAULT_MODEL.items() if key != "family"}


def _lines(told: dict[str, Any]) -> Iterator[str]:
    """A family for a person."""
    name, without = told["family"], told["without_params"]
    yield f"{name}, the default" if without else name
    yield "-" * WIDTH
    there = "Installed." if told["installed"] else f"Not installed: {told['install']}."
    there = f"Your own, from {told['module']}." if told["module"] else there
    rows = told["reads"] == "rows"
    reads = "a row of features an hour" if rows else f"the last {told['context_hours']} hourly bars"
    yield from textwrap.wrap(f"{told['what']} {there} It reads {reads}.", WIDTH)
    keys = [Key(**key) for key in told["keys"]]
    if keys:
        table = [HEAD, *((it.name, _default(it), range_of(it), it.meaning) for it in keys)]
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        yield ""
        meaning_at = sum(widths[:-1]) + 2 * len(widths[:-1])
        for row in table:
            line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            yield from terminal.paragraph(line, meaning_at).splitlines()
    if without:
        yield from ("", *textwrap.wrap(f"Without --params: {_joined(without)}.", WIDTH))


def _default(key: Key) -> str:
    return NEEDED if key.default is None else shown(key.default)


def _joined(values: dict[str, Any]) -> str:
    return ", ".join(f"{key} {shown(value)}" for key, value in values.items())
