"""Files that a bot reads unattended: a pipe in their place is an error, not the end of trading."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from trader import terminal
from trader.adapters import user_features
from trader.adapters.bans import BanFile
from trader.adapters.exchange_info import read_info_row
from trader.adapters.files import read_bars
from trader.config import load_settings
from trader.core.errors import ConfigError
from trader.plain_file import read_plain


@pytest.mark.parametrize("size", [0, 1, 5_000_000])
def test_a_plain_file_is_read_whole(size: int, tmp_path: Path) -> None:
    """Directly and through a link."""
    data = os.urandom(size)
    (tmp_path / "file").write_bytes(data)
    (tmp_path / "link").symlink_to(tmp_path / "file")
    assert read_plain(tmp_path / "file", follow=False) == read_plain(tmp_path / "link") == data
    with pytest.raises(OSError, match="symbolic links"):
        read_plain(tmp_path / "link", follow=False)


def test_a_file_that_says_no_size_is_read_whole() -> None:
    """Of the kernel's files none is as long as it says."""
    assert b"Linux" in read_plain(Path("/proc/version"))


READERS: dict[str, Callable[[Path], object]] = {
    "bars": read_bars,
    "a params file or a schedule": lambda path: terminal.read_text(path, "parameters"),
    "filters": read_info_row,
    "features": lambda path: user_features.load(path, check=False),
}


@pytest.mark.timeout(20)
@pytest.mark.parametrize("reader", READERS)
def test_a_pipe_is_an_error(reader: str, tmp_path: Path) -> None:
    """It is named, with the way out, and nobody waits for it."""
    path = tmp_path / "BTCUSDT-1h.csv"
    os.mkfifo(path)
    with pytest.raises(ConfigError, match=rf"{path}.*is no plain file but a pipe.*put a file in its place"):
        READERS[reader](path)


@pytest.mark.timeout(20)
def test_a_pipe_holds_no_bans(tmp_path: Path) -> None:
    """What cannot be read is as good as none."""
    os.mkfifo(tmp_path / "bans.json")
    assert BanFile(tmp_path / "bans.json", "a host").until_ms(0) == 0


@pytest.mark.timeout(20)
def test_settings_that_are_no_file_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They would be left out in silence, and the bot would trade by its defaults."""
    monkeypatch.chdir(tmp_path)
    os.mkfifo(tmp_path / "trader.toml")
    with pytest.raises(ConfigError, match=r"trader.toml is no plain file but a pipe"):
        load_settings()
    (tmp_path / "trader.toml").unlink()
    (tmp_path / "mine.toml").write_text('bot = "x"')
    (tmp_path / "trader.toml").symlink_to(tmp_path / "mine.toml")
    assert load_settings().bot == "x"
