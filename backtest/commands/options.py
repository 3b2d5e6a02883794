"""Options that several verbs of `backtest` have, and what stands in their help."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, get_args

import typer

from trader.core.params import Label

CORES = os.cpu_count() or 1

BarsFile = Annotated[
    str,
    typer.Option(
        "--bars",
        help="hourly bars: Parquet, CSV, a zip of the public archive, or an address (docs/sources.md)",
    ),
]
BarsFiles = Annotated[
    list[str],
    typer.Option(
        "--bars",
        help="hourly bars: Parquet, CSV, a zip of the public archive, or an address (docs/sources.md); for several "
        "symbols a folder of <SYMBOL>-1h.parquet, or repeated",
    ),
]
From = Annotated[str, typer.Option("--from", help="first hour, UTC: 2022-01-01 or 2022-01-01T09:00Z")]
To = Annotated[str, typer.Option("--to", help="end of the hours, exclusive, UTC")]
ParamsFile = Annotated[
    Path | None, typer.Option("--params", help="P.json; without it the documented defaults")
]
Symbol = Annotated[
    str | None, typer.Option(help="what is traded; default: the (first) file's name up to the first '-'")
]
FiltersFile = Annotated[
    Path | None,
    typer.Option(
        "--filters",
        help="a JSON file of exchangeInfo, the row of the symbol, or with --book of each; default: tick and step "
        "from the price",
    ),
]
Preset = Annotated[
    str | None, typer.Option("--features", help="feature preset, instead of the one that the parameters name")
]
HorizonHours = Annotated[
    int | None,
    typer.Option(help="predict the close so many hours later (1 to 24), instead of the parameters' own"),
]
LabelKind = Annotated[
    Label | None,
    typer.Option(
        "--label", metavar="LABEL", help=f"{' or '.join(get_args(Label))}, instead of the parameters' own"
    ),
]
Workers = Annotated[
    int, typer.Option(min=1, help="models fitted at the same time; results do not depend on it")
]
AsJson = Annotated[bool, typer.Option("--json", help="one line of JSON instead of a table")]
EvidenceDir = Annotated[
    Path, typer.Option("--evidence", help="folder that counts everything ever tried on these bars")
]
EVIDENCE = Path("evidence")
