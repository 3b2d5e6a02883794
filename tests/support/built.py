"""Imported by the fork server: both command lines, built from their functions' signatures once. Each command builds its own
anew, which is more than half of what a short one costs; what is built is the same."""

from __future__ import annotations

from types import ModuleType

from typer.main import get_command

import backtest.cli
import trader.cli


def _built_once(cli: ModuleType) -> None:
    whole = get_command(cli.asked(()))
    vars(cli)["asked"] = lambda _words: whole


for program in (trader.cli, backtest.cli):
    _built_once(program)
