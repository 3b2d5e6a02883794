"""The `backtest` command as a person meets it: results, exit codes, and errors without a traceback."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from backtest.cli import main
from tests.support.bars_made import bars_made
from tests.support.rig import command, quick_params
from tests.support.rig_bars import made_bars
from trader.adapters.files import write_bars
from trader.core.hours import LINE_KEYS
from trader.core.params import DEFAULT_PARAMS
from trader.core.summary import SUMMARY_KEYS

GAPS = (1_700, 1_701)
SPAN = ("--from", "2021-03-10", "--to", "2021-03-20")


class Answer(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with hourly bars of three months and parameters of small trees."""
    place = tmp_path_factory.mktemp("backtest")
    write_bars(place / "BTCUSDT-1h.parquet", bars_made(2_200, 2, missing=GAPS))
    trees = {**DEFAULT_PARAMS["model"], "n_estimators": 20, "gamma": 0}
    params = {**DEFAULT_PARAMS, "model": trees, "look_back_days": 20, "step_days": 3}
    (place / "P.json").write_text(json.dumps(params))
    return place


@pytest.fixture(autouse=True)
def _signals() -> Iterator[None]:
    """The command takes over SIGTERM; the tests give it back."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], folder: Path) -> Any:
    """Run `backtest` with these words, in the folder, and see how it ends."""

    def run(*words: str) -> Answer:
        monkeypatch.setattr(sys, "argv", ["backtest", *words])
        monkeypatch.chdir(folder)
        with pytest.raises(SystemExit) as ended:
            main()
        code = ended.value.code
        out, err = capfd.readouterr()
        return Answer(code if isinstance(code, int) else 0, out, err)

    return run


RUN = ("run", "--bars", "BTCUSDT-1h.parquet", "--params", "P.json")


def test_a_run_shows_net_beside_gross_and_out_of_sample_beside_in_sample(ask: Any) -> None:
    """A table of two columns that says compounded, and what the second column is worth."""
    got = ask(*RUN, *SPAN)
    assert got.code == 0
    for words in (
        "out of sample",
        "in sample",
        "net return, compounded",
        "gross return, compounded, at zero cost",
    ):
        assert words in got.out
    assert "Returns are compounded." in got.out
    assert "scored by a model that was trained on it" in " ".join(got.out.split())
    assert got.err == ""


def test_trees_that_know_the_answers_are_shown_in_a_few_digits(ask: Any, folder: Path) -> None:
    """Deep trees without costs multiply the stake beyond reason in sample: counted, not a crash, and readable."""
    trees = {"n_estimators": 150, "max_depth": 12, "learning_rate": 0.3}
    free = {"fee_rate": 0, "half_spread_bps": 0, "slippage_bps": 0, "enter_edge": 0}
    model = {"family": "xgboost", **trees}
    params = {**json.loads((folder / "P.json").read_text()), **free, "model": model, "step_days": 17}
    write(folder, "deep.json", json.dumps(params))
    words = (
        "run",
        "--bars",
        "BTCUSDT-1h.parquet",
        "--params",
        "deep.json",
        "--from",
        "2021-01-23",
        "--to",
        "2021-04-01",
    )
    summary = json.loads(ask(*words, "--json").out)
    assert summary["in_sample"]["net_return"] > 10
    assert summary["in_sample"]["hit_rate"] > 0.99
    got = ask(*words)
    assert got.code == 0
    assert max(map(len, got.out.splitlines()[:13])) < 110


def test_json_and_hours_agree(ask: Any, folder: Path) -> None:
    """One line of JSON with the summary's keys; the hours file has its hours, in the order of the keys."""
    got = ask(*RUN, *SPAN, "--json", "--hours-out", "out/hours.jsonl")
    summary = json.loads(got.out)
    assert tuple(summary) == (*SUMMARY_KEYS, "filters", "in_sample", "why_no_order")
    lines = [json.loads(line) for line in (folder / "out" / "hours.jsonl").read_text().splitlines()]
    assert len(lines) == summary["hours"] == 240
    assert all(tuple(line) == LINE_KEYS for line in lines)
    assert lines[-1]["equity"] == summary["final_equity_usdt"]
    seen = summary["in_sample"]
    assert seen["hours"] == 4 * 3 * 24
    assert (seen["from"], seen["to"]) == ("2021-03-06T23:00:00Z", "2021-03-18T23:00:00Z")


def test_workers_change_no_byte_of_the_hours(ask: Any, folder: Path) -> None:
    """One worker or three, the file is the same."""
    for workers in ("1", "3"):
        assert ask(*RUN, *SPAN, "--workers", workers, "--hours-out", f"{workers}.jsonl", "--json").code == 0
    assert (folder / "1.jsonl").read_bytes() == (folder / "3.jsonl").read_bytes()


@pytest.mark.parametrize("verb", ["run", "tune", "report", "lifecycle"])
def test_an_unknown_executor_is_refused_by_its_name(ask: Any, verb: str) -> None:
    """Exit 2, with those that are known."""
    got = ask(verb, *RUN[1:], *SPAN, "--executor", "slrum", "--json")
    assert (got.code, got.out) == (2, "")
    assert "--executor slrum is not known. Choose one of: local" in got.err


def test_as_a_process_it_writes_the_same(ask: Any, folder: Path) -> None:
    """The console command of the package, from another folder, gives the summary that it gives here."""
    here = json.loads(ask(*RUN, *SPAN, "--json").out)
    words = [
        "run",
        "--bars",
        str(folder / "BTCUSDT-1h.parquet"),
        "--params",
        str(folder / "P.json"),
        *SPAN,
        "--json",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "backtest.cli", *words], capture_output=True, text=True, check=True
    )
    there = json.loads(done.stdout)
    here.pop("seconds"), there.pop("seconds")
    assert there == here


def write(folder: Path, name: str, text: str | bytes) -> str:
    """A file beside the bars."""
    (folder / name).write_bytes(text.encode() if isinstance(text, str) else text)
    return name


BAD: list[tuple[tuple[str, ...], str]] = [
    (("run", "--bars", "none.parquet", *SPAN), "none.parquet"),
    (("run", "--bars", "noise.parquet", *SPAN), "noise.parquet"),
    (("run", "--bars", "cut.parquet", *SPAN), "cut.parquet"),
    (("run", "--bars", "seconds.csv", *SPAN), "seconds.csv"),
    ((*RUN, "--from", "2021-03-20", "--to", "2021-03-10"), "must be later than"),
    ((*RUN, "--from", "2021-03-10", "--to", "2021-06-10"), "Choose hours within it"),
    ((*RUN, "--from", "yesterday", "--to", "2021-06-10"), "'yesterday' is not a date"),
    ((*RUN, "--from", "2021-03-10T09:30", "--to", "2021-03-20"), "not on the full hour"),
    ((*RUN, "--from", "2021-01-05", "--to", "2021-01-08"), "look_back 20 d + gap 1 h needs 481 bars"),
    (("run", "--bars", "BTCUSDT-1h.parquet", "--params", "none.json", *SPAN), "none.json cannot be read"),
    (
        ("run", "--bars", "BTCUSDT-1h.parquet", "--params", "broken.json", *SPAN),
        "broken.json: not valid JSON",
    ),
    (("run", "--bars", "BTCUSDT-1h.parquet", "--params", "typed.json", *SPAN), "'look_back_days'"),
    (("run", "--bars", "BTCUSDT-1h.parquet", "--params", "unknown.json", *SPAN), "unknown key 'lookback'"),
    (("run", "--bars", "BTCUSDT-1h.parquet", "--params", "preset.json", *SPAN), "no preset 'mine'"),
    ((*RUN, *SPAN, "--filters", "none.json"), "none.json"),
    ((*RUN, *SPAN, "--hours-out", "P.json/hours.jsonl"), "cannot be written"),
    (("reproduce-seed", "--bars", "BTCUSDT-1h.parquet"), "the published study needs bars"),
    (("reproduce-seed", "--bars", "none.parquet"), "none.parquet"),
    (
        ("tune", "--bars", "BTCUSDT-1h.parquet", "--from", "2021-03-10", "--to", "2021-03-20"),
        "needs 4,321 bars|look_back",
    ),
]


@pytest.mark.parametrize(("words", "says"), BAD)
def test_bad_input_ends_with_a_sentence(ask: Any, folder: Path, words: tuple[str, ...], says: str) -> None:
    """Exit code 2, nothing on standard output, one error on standard error that names what is wrong, no traceback."""
    good = (folder / "P.json").read_text()
    bars = (folder / "BTCUSDT-1h.parquet").read_bytes()
    write(folder, "noise.parquet", b"\x00\x01 not a table")
    write(folder, "cut.parquet", bars[: len(bars) // 2])
    rows = "\n".join(f"{1_610_000_000 + 3_600 * n},1,1,1,1,1" for n in range(5))
    write(folder, "seconds.csv", f"open_time,open,high,low,close,volume\n{rows}\n")
    write(folder, "broken.json", good[:-5])
    write(folder, "typed.json", good.replace('"look_back_days": 20', '"look_back_days": "20"'))
    write(folder, "unknown.json", good.replace('"look_back_days"', '"lookback": 3, "look_back_days"'))
    write(folder, "preset.json", good.replace('"features": "reference"', '"features": "mine"'))
    got = ask(*words)
    assert got.code == 2
    assert got.out == ""
    assert any(part in got.err for part in says.split("|")), got.err
    assert "Traceback" not in got.err
    assert got.err.strip().splitlines()[0].startswith(("ConfigError: ", "DataError: ")), got.err


def test_a_wrong_option_is_a_usage_error(ask: Any) -> None:
    """Typer's own code and no traceback."""
    got = ask("run", "--bars", "BTCUSDT-1h.parquet", "--form", "2021-01-01")
    assert got.code == 2
    assert "Traceback" not in got.err


def test_a_study_is_the_same_on_any_number_of_workers(ask: Any, folder: Path) -> None:
    """Two trials, one process or two: the same values, the best written as parameters that `run` reads."""
    write_bars(folder / "LONG-1h.parquet", bars_made(5_200, 4))
    span = ("--from", "2021-07-12", "--to", "2021-07-20")
    words = (
        "tune",
        "--bars",
        "LONG-1h.parquet",
        "--params",
        "P.json",
        *span,
        "--trials",
        "2",
        "--batch",
        "2",
        "--json",
    )
    found = []
    for workers in ("1", "2"):
        out = ("--study", f"study{workers}", "--trials-out", f"out{workers}/trials.jsonl")
        got = ask(*words, "--workers", workers, *out)
        assert got.code == 0, got.err
        assert (folder / f"out{workers}" / "trials.jsonl").read_bytes() == (
            folder / f"study{workers}" / "trials.jsonl"
        ).read_bytes()
        found.append((folder / f"study{workers}" / "trials.jsonl").read_text())
    assert found[0] == found[1]
    for line in found[0].splitlines():
        assert tuple(json.loads(line)) == ("number", "state", "value", "params", "windows_run")
    best = json.loads((folder / "study1" / "P.json").read_text())
    assert json.loads(got.out)["best"]["params"] == best
    values = [json.loads(line)["value"] for line in found[0].splitlines()]
    assert json.loads(found[0].splitlines()[int(np.argmax(values))])["params"] == best
    assert ask("run", "--bars", "LONG-1h.parquet", "--params", "study1/P.json", *span, "--json").code == 0


def test_a_run_is_counted_in_the_evidence(tmp_path: Path) -> None:
    """Once as a configuration, once as a look; a folder that cannot be written is said before the work."""
    from backtest.evidence.ledger import EvidenceLedger

    bars = made_bars(tmp_path, "2020-12-01", "2021-04-01")
    (tmp_path / "P.json").write_text(json.dumps(quick_params()))
    given = ("--bars", str(bars), "--from", "2021-03-05", "--to", "2021-03-08", "--params", "P.json")
    for _ in range(2):
        command("backtest", "run", *given, "--evidence", "kept", cwd=tmp_path)
    (file,) = (tmp_path / "kept").iterdir()
    entries = EvidenceLedger(tmp_path / "kept", file.stem).entries()
    assert [entry.kind for entry in entries] == ["run", "look"] * 2
    assert len({entry.config for entry in entries}) == 1
    (tmp_path / "file").write_text("")
    done = command("backtest", "run", *given, "--evidence", "file", cwd=tmp_path, check=False)
    assert done.returncode == 2
    assert "--evidence" in done.stderr
