"""The symbols that a fit sees, as `P.json` names them: each once, and sorted, so that their order changes nothing."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

MOST_SYMBOLS = 1_000
# As a setting names the symbol that is traded.
SymbolName = Annotated[str, Field(pattern=r"^[A-Z0-9]{2,20}$")]


def _each_once(named: tuple[str, ...]) -> tuple[str, ...]:
    if twice := sorted({symbol for symbol in named if named.count(symbol) > 1}):
        raise ValueError(f"train_symbols names {', '.join(twice)} more than once")
    return tuple(sorted(named))


TrainSymbols = Annotated[
    tuple[SymbolName, ...], Field(min_length=1, max_length=MOST_SYMBOLS), AfterValidator(_each_once)
]
