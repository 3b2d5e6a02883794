"""Where unfinished trainings are kept: a file each, whole or not there, in a folder that need not exist before."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from trader.adapters.checkpoints_folder import FolderCheckpoints
from trader.core.errors import ConfigError


def test_the_newest_checkpoint_of_a_training_is_kept_until_it_is_dropped(tmp_path: Path) -> None:
    """Nothing before the first; each replaces the one before, and leaves no part of a file; dropping twice is no error."""
    kept = FolderCheckpoints(tmp_path / "not" / "there")
    assert kept.load("a") is None
    for data in (b"epoch 1", b"epoch 2"):
        kept.save("a", data)
        assert (kept.load("a"), kept.load("b")) == (data, None)
    assert [file.name for file in (tmp_path / "not" / "there").iterdir()] == ["a.safetensors"]
    for _ in range(2):
        kept.drop("a")
        assert kept.load("a") is None


def test_what_is_no_plain_file_counts_as_nothing_kept(tmp_path: Path) -> None:
    """A link to another file is not followed, and a pipe is not waited for: the training begins anew."""
    (tmp_path / "secret").write_bytes(b"x")
    (tmp_path / "a.safetensors").symlink_to(tmp_path / "secret")
    os.mkfifo(tmp_path / "b.safetensors")
    kept = FolderCheckpoints(tmp_path)
    assert (kept.load("a"), kept.load("b")) == (None, None)


def test_a_folder_that_cannot_be_written_names_the_setting(tmp_path: Path) -> None:
    """A file where the folder should be: the message says how to choose another."""
    (tmp_path / "taken").write_text("")
    with pytest.raises(ConfigError, match=r"taken cannot be written: .*TRADER_CHECKPOINTS"):
        FolderCheckpoints(tmp_path / "taken").save("a", b"x")
