"""The evidence ledger forgets nothing, survives a crash, and counts what shares an hour."""

from __future__ import annotations

import multiprocessing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backtest.evidence.ledger import Entry, EvidenceLedger, Kind, config_hash, count, data_hash
from trader.core.errors import ConfigError, DataError
from trader.core.params import DEFAULT_PARAMS, params_of
from trader.core.types import HOUR_MS, Bars


def entry(kind: Kind = "complete", config: str = "a", start: int = 0, stop: int = 10, **rest: Any) -> Entry:
    """An entry with what a test does not say filled in."""
    values: dict[str, Any] = {"sharpe": 0.01, "by": "test", "at_ms": 1, **rest}
    return Entry(kind, config, start * HOUR_MS, stop * HOUR_MS, **values)


def ledger(folder: Path) -> EvidenceLedger:
    """A ledger in a folder that does not exist yet."""
    return EvidenceLedger(folder / "evidence", "abc")


def test_what_was_appended_is_read_back_in_order(tmp_path: Path) -> None:
    """Over several appends."""
    wanted = [entry(config=str(i)) for i in range(5)]
    for part in (wanted[:2], wanted[2:]):
        ledger(tmp_path).append(part)
    assert ledger(tmp_path).entries() == wanted


def test_a_line_cut_short_is_left_out_and_the_next_is_whole(tmp_path: Path) -> None:
    """A crash costs its own line and no other."""
    ledger(tmp_path).append([entry(config="whole")])
    path = ledger(tmp_path).path
    path.write_bytes(path.read_bytes() + b'{"schema": "evidence/1", "ki')
    ledger(tmp_path).append([entry(config="after")])
    assert [found.config for found in ledger(tmp_path).entries()] == ["whole", "after"]


def test_a_foreign_line_is_refused(tmp_path: Path) -> None:
    """By file and number."""
    ledger(tmp_path).append([entry()])
    path = ledger(tmp_path).path
    path.write_text(path.read_text() + '{"schema": "other/1"}\n')
    with pytest.raises(DataError, match=r"abc\.jsonl, line 2"):
        ledger(tmp_path).entries()


def _write(folder: str, name: str) -> None:
    for i in range(50):
        EvidenceLedger(Path(folder), "abc").append([entry(config=f"{name}{i}")])


def test_two_processes_do_not_mix_their_lines(tmp_path: Path) -> None:
    """Fifty lines each, all whole."""
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write, args=(str(tmp_path), name)) for name in "xy"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert len(EvidenceLedger(tmp_path, "abc").entries()) == 100


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    """With the way out."""
    (tmp_path / "evidence").write_text("a file stands here")
    with pytest.raises(ConfigError, match="--evidence"):
        ledger(tmp_path).append([entry()])


def test_counting_takes_every_configuration_and_the_looks_that_share_an_hour() -> None:
    """A configuration counts once, however often and wherever it was evaluated; touching spans share no look."""
    entries = [
        entry(config="a", sharpe=0.01),
        entry(config="a", sharpe=0.03),
        entry("pruned", "b", sharpe=None),
        entry("swept", "c", sharpe=0.01),
        entry("run", "far", start=10, stop=20),
        entry("look", "a", sharpe=None),
        entry("look", "a", sharpe=None, start=10, stop=20),
    ]
    found = count(entries, 0, 10 * HOUR_MS)
    assert (found.configurations, found.evaluations, found.looks) == (4, 5, 1)
    assert found.sharpe_deviation == pytest.approx(np.std([0.03, 0.01, 0.01], ddof=1))


def test_hashes_follow_content(btc: Bars) -> None:
    """One price changes the data's, one parameter the configuration's; order of keys does not."""
    part = btc.rows(0, 100)
    assert data_hash(part) == data_hash(btc.rows(0, 100)) != data_hash(btc.rows(0, 101))
    params = params_of(DEFAULT_PARAMS, "test")
    turned = params_of(dict(reversed(DEFAULT_PARAMS.items())), "test")
    other = params_of({**DEFAULT_PARAMS, "seed": 8}, "test")
    assert config_hash(params) == config_hash(turned) != config_hash(other)
