"""Bars of several symbols: what a folder and several files hold, which of them is traded, and what is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.bars_made import bars_made
from trader.adapters.bar_folder import BarSources
from trader.adapters.files import write_bars
from trader.core.errors import ConfigError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Bars of two symbols, and files that are none."""
    for symbol in ("BTCUSDT", "ETHUSDT"):
        write_bars(tmp_path / f"{symbol}-1h.parquet", bars_made(30, symbol=symbol))
    (tmp_path / "README.md").write_text("no bars")
    (tmp_path / ".XRPUSDT-1h.parquet").write_text("half written")
    return tmp_path


def test_a_single_file_is_what_it_always_was(folder: Path) -> None:
    """Of the symbol that its name begins with, or of the one that is named."""
    path = folder / "BTCUSDT-1h.parquet"
    assert BarSources.of([path], None).traded == "BTCUSDT"
    assert BarSources.of([path], "XBTUSDT").read("XBTUSDT").symbol == "XBTUSDT"


def test_a_folder_holds_a_symbol_a_file(folder: Path) -> None:
    """Read when they are asked for; other files are left alone. Without a name the default is traded, or the only one."""
    found = BarSources.of([folder], "ETHUSDT")
    assert (found.traded, sorted(found.files)) == ("ETHUSDT", ["BTCUSDT", "ETHUSDT"])
    assert found.read("BTCUSDT").symbol == "BTCUSDT"
    assert BarSources.of([folder], None, "BTCUSDT").traded == "BTCUSDT"
    (folder / "BTCUSDT-1h.parquet").unlink()
    assert BarSources.of([folder], None).traded == "ETHUSDT"


def test_of_several_files_the_first_is_traded(folder: Path) -> None:
    """Unless another is named."""
    files = [folder / f"{it}-1h.parquet" for it in ("ETHUSDT", "BTCUSDT")]
    assert BarSources.of(files, None, "BTCUSDT").traded == "ETHUSDT"
    assert BarSources.of(files, "BTCUSDT").traded == "BTCUSDT"
    assert BarSources.of([files[0], files[1].parent / files[1].name], None).traded == "ETHUSDT"


def test_what_cannot_be_told_is_said_with_the_way_out(folder: Path) -> None:
    """No traded one among several, a symbol without a file, two files of one symbol, a folder without bars."""
    with pytest.raises(ConfigError, match=r"bars of BTCUSDT, ETHUSDT: say which is traded, with --symbol"):
        BarSources.of([folder], None)
    with pytest.raises(
        ConfigError, match=r"no bars of XRPUSDT \(there are .*trader collect --symbols XRPUSDT --from"
    ):
        BarSources.of([folder], "XRPUSDT")
    with pytest.raises(ConfigError, match="are both bars of BTCUSDT; give one of them"):
        BarSources.of([folder, folder / "BTCUSDT-1h.parquet"], "BTCUSDT")
    two = BarSources.of([folder / "BTCUSDT-1h.parquet", folder / "ETHUSDT-1h.parquet"], None)
    assert two.beside(["BTCUSDT", "ETHUSDT"]) == ["ETHUSDT"]
    with pytest.raises(ConfigError, match=r"ETHUSDT-1h.parquet is read by nobody: BTCUSDT is traded"):
        two.beside([])
    assert BarSources.of([folder], "BTCUSDT").beside([]) == []
    (folder / "empty").mkdir()
    with pytest.raises(
        ConfigError, match=r"empty: holds no file of bars; they are named like BTCUSDT-1h.parquet"
    ):
        BarSources.of([folder / "empty"], None)
