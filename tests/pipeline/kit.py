"""A small pipeline on made bars, and `backtest` called in its folder."""

from __future__ import annotations

import io
import json
import shutil
import sys
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from backtest.cli import main
from tests.support.bars_made import bars_made
from trader.adapters.files import write_bars

SMALL = """
[pipeline]
bars = "data"
symbols = {symbols}
from = "2021-02-20"
to = "2021-03-12"
families = {families}
out = "out"

[params]
look_back_days = 20
step_days = 5

[model.xgboost]
n_estimators = 4

[tune]
trials = {trials}

[check]
days = 2
newest_days = 10

[backtest]
enter_edge = 0.001
"""


class Kitchen:
    """A pipeline's folder, and the two verbs."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.file, self.out = folder, folder / "p.toml", folder / "out"

    def copied(self, folder: Path) -> Kitchen:
        """Another one, in an empty folder, with all that this one has done."""
        shutil.copytree(self.folder, folder, symlinks=True, dirs_exist_ok=True)
        return Kitchen(folder)

    def write(
        self,
        more: str = "",
        symbols: tuple[str, ...] = ("BTCUSDT",),
        families: tuple[str, ...] = ("naive",),
        trials: int = 0,
    ) -> None:
        """The pipeline's file, and the bars of its symbols."""
        for seed, symbol in enumerate(symbols, start=1):
            self.write_bars(symbol, seed)
        text = SMALL.format(symbols=json.dumps(symbols), families=json.dumps(families), trials=trials)
        self.file.write_text(text + more)

    def write_bars(self, symbol: str, seed: int) -> None:
        """A symbol's bars, where it has none."""
        path = self.folder / "data" / f"{symbol}-1h.parquet"
        path.parent.mkdir(exist_ok=True)
        if not path.exists():
            write_bars(path, bars_made(75 * 24, seed, symbol=symbol))

    def edit(self, old: str, new: str) -> None:
        """In the pipeline's file."""
        text = self.file.read_text()
        assert old in text
        self.file.write_text(text.replace(old, new))

    def ask(self, words: str) -> tuple[int, str, str]:
        """`backtest` with these words: exit code, what it showed, what it said."""
        out, err = io.StringIO(), io.StringIO()
        with (
            pytest.MonkeyPatch.context() as patch,
            chdir(self.folder),
            redirect_stdout(out),
            redirect_stderr(err),
        ):
            patch.setattr(sys, "argv", ["backtest", *words.split()])
            with pytest.raises(SystemExit) as ended:
                main()
        return int(ended.value.code or 0), out.getvalue(), err.getvalue()

    def run(self, words: str = "") -> list[str]:
        """`backtest pipeline` to its good end: the stages that ran."""
        code, out, err = self.ask(f"pipeline p.toml --workers 1 --json {words}")
        assert code == 0, err
        ran: list[str] = json.loads(out)["ran"]
        return ran

    def fails(self, words: str = "") -> tuple[int, str]:
        """`backtest pipeline` to another end: exit code, what it said."""
        code, _, err = self.ask(f"pipeline p.toml --workers 1 {words}")
        assert code != 0
        return code, err

    def status(self) -> dict[str, str]:
        """Of `backtest status`, the stages that would run, and why."""
        code, out, err = self.ask("status p.toml --json")
        assert code == 0, err
        rows: list[dict[str, Any]] = json.loads(out)
        return {row["stage"]: row["why"] for row in rows if not row["up_to_date"]}

    def outputs(self) -> dict[str, bytes]:
        """What lies in current/, by path."""
        root = self.out / "current"
        return {str(it.relative_to(root)): it.read_bytes() for it in sorted(root.rglob("*")) if it.is_file()}
