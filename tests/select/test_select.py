"""Series x candidates as one study: resumable, counted, and not ended by a candidate that fails."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backtest.commands.many_bars import bars_files
from backtest.executors.futures import at_once
from backtest.executors.protocol import Task, WorkerLost
from backtest.executors.registry import Setup, open_executor
from backtest.select.candidates import Candidate, candidates_of
from backtest.select.folder import SelectionFolder
from backtest.select.predict import predict_all
from backtest.select.publish import publish, summary_of
from backtest.select.selection import Selection
from backtest.select.spec import BarsFile, SelectionSpec, common_stop, facts_of
from backtest.select.tasks import daily_closes
from backtest.select.timing import TimeLeft
from backtest.select.winners import winners_of
from tests.support.bars_made import bars_made
from tests.support.normal_family import NormalForecaster
from trader.adapters.files import write_bars
from trader.core.errors import ConfigError, DataError, Retry
from trader.core.params import DEFAULT_PARAMS, Params, params_of
from trader.core.series import Series
from trader.core.types import DAY_MS, Bars, Floats
from trader.forecasters.naive import NaiveForecaster, rolling_quantiles
from trader.forecasters.registry import forecaster_of

DAYS = 120
BARS = {name: bars_made(DAYS * 24 + 5, seed, symbol=name) for seed, name in enumerate("ABC", start=1)}
MODEL = {"family": "naive", "forecast_hours": 24}
PARAMS = params_of({**DEFAULT_PARAMS, "model": MODEL, "look_back_days": 20, "step_days": 5}, "a test")
NAIVE = Candidate("naive", PARAMS, NaiveForecaster())
NORMAL = Candidate("normal", PARAMS.model_copy(update={"seed": 8}), NormalForecaster())


class Broken(NormalForecaster):
    """A family whose library fails in its own way."""

    def fit_series(self, series: Series, params: Params, *, steps: int, horizon: int, until: int) -> bytes:
        """Never gives a model."""
        raise ZeroDivisionError("the optimiser gave up")


def _itself(bars: Bars) -> Bars:
    return bars


def selection(
    out: Path,
    candidates: Sequence[Candidate] = (NAIVE, NORMAL),
    bars: dict[str, Bars] | None = None,
    **changes: Any,
) -> Selection:
    """A selection over bars in memory, at 1d."""
    series = bars or BARS
    files = [
        BarsFile(Path(f"{name}.csv"), name, f"{name} {id(it)}", partial(_itself, it))
        for name, it in series.items()
    ]
    folder = SelectionFolder(out)
    with folder.held():
        facts = facts_of(folder, files)
    freq = changes.pop("freq", "1d")
    spec = SelectionSpec(
        freq, changes.pop("score", "pinball"), changes.pop("windows", 1), 5, common_stop(facts, freq, None)
    )
    return Selection(folder, spec, candidates, files, facts, **changes)


def test_a_daily_score_is_the_pinball_loss_of_the_days_ahead(tmp_path: Path) -> None:
    """Of the naive forecast from two origins, by hand: fitted and read up to the origin, compared with the 24 days after it."""
    made = selection(tmp_path, [NAIVE], windows=2)
    row = made.run()["A", "naive"]
    days = daily_closes(BARS["A"], made.spec.stop)
    slow = []
    for origin in made.spec.origins:
        at = int((origin - days.first) // DAY_MS)
        for h in range(1, 25):
            quantiles = rolling_quantiles(days.until(origin), np.array([at]), h)[0]
            miss = days.log_close[at + h] - days.log_close[at] - quantiles
            levels = np.array([0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975])
            slow.append(float(np.mean(np.where(miss < 0, levels - 1, levels) * miss)))
    assert row["loss"] == pytest.approx(np.mean(slow))


def test_a_repeat_computes_nothing_and_reads_no_bars(tmp_path: Path) -> None:
    """The same rows from the journal; another candidate is the only one that is computed then."""
    first = selection(tmp_path)
    rows = first.run()
    assert first.computed == 6
    again = selection(tmp_path)
    again.files = [replace(it, load=lambda: pytest.fail("read again")) for it in again.files]
    assert again.run() == rows
    assert again.computed == 0
    more = selection(
        tmp_path,
        [NAIVE, NORMAL, Candidate("other", PARAMS.model_copy(update={"seed": 9}), NormalForecaster())],
    )
    more.run()
    assert more.computed == 3


def test_what_fails_is_kept_with_its_reason_and_the_others_go_on(tmp_path: Path) -> None:
    """A library's own error, a constant series, one that is short, one without a newest close; each message has its numbers."""
    flat = bars_made(DAYS * 24 + 5, 5, symbol="FLAT")
    ended = BARS["A"].until(BARS["A"].last - 40 * DAY_MS)
    five = np.full(len(flat), 5.0)
    bars = {
        **BARS,
        "FLAT": replace(flat, open=five, high=five, low=five, close=five),
        "SHORT": bars_made(30 * 24, 6, symbol="SHORT", start="2021-04-01"),
        "ENDED": Bars("ENDED", **{name: getattr(ended, name) for name in COLUMNS}),
        "HOLE": bars_made(DAYS * 24 + 5, 7, symbol="HOLE", missing=(700,)),
    }
    told: list[dict[str, Any]] = []
    made = selection(
        tmp_path, [NAIVE, Candidate("broken", PARAMS, Broken()), NORMAL], bars, on_rows=told.extend
    )
    rows = made.run()
    assert len(told) == len(rows) == 21
    reasons = {key: row["reason"] for key, row in rows.items() if row["state"] == "failed"}
    assert {key[1] for key in reasons if key[0] in (*"ABC", "HOLE")} == {"broken"}
    assert reasons["A", "broken"] == "ZeroDivisionError: the optimiser gave up"
    assert "all 96 closes are equal" in reasons["FLAT", "naive"]
    assert "48 are needed at least" in reasons["SHORT", "naive"]
    assert "there is no close at" in reasons["ENDED", "normal"]
    kept = [json.loads(line) for line in (tmp_path / "journal.jsonl").read_text().splitlines()]
    assert {(row["symbol"], row["candidate"]) for row in kept} == set(rows)
    found = winners_of(rows, "pinball")
    assert sorted(found.without) == ["ENDED", "FLAT", "SHORT"]
    summary = summary_of(made, found)
    assert (summary["failed"], len(summary["failures"])) == (len(reasons), len(reasons))
    json.dumps(summary, allow_nan=False)


@pytest.mark.parametrize("score", ["net_sharpe", "pinball"])
def test_hours_that_cannot_be_walked_say_why(tmp_path: Path, score: str) -> None:
    """A series shorter than the look-back and one that ended earlier, with the numbers; a missing hour and a hundred at the end
    are walked; a constant series trades nothing, and has no loss to be compared with."""
    hours = DAYS * 24
    flat, ended = bars_made(hours + 5, 5, symbol="FLAT"), BARS["A"].until(BARS["A"].last - 2 * DAY_MS)
    five = np.full(len(flat), 5.0)
    bars = {
        "FLAT": replace(flat, open=five, high=five, low=five, close=five),
        "SHORT": bars_made(15 * 24, 6, symbol="SHORT", start="2021-04-16"),
        "ENDED": Bars("ENDED", **{name: getattr(ended, name) for name in COLUMNS}),
        "HOLE": bars_made(hours + 5, 7, symbol="HOLE", missing=(hours - 30,)),
        "GAP": bars_made(hours + 5, 8, symbol="GAP", missing=tuple(range(hours - 100, hours + 4))),
    }
    made = selection(tmp_path, [NAIVE], bars, freq="1h", score=score)
    rows = {symbol: row for (symbol, _), row in made.run().items()}
    assert {name for name, row in rows.items() if row["state"] == "failed"} == {"SHORT", "ENDED"}
    assert re.search(r"look_back 20 d \+ gap 1 h needs 481 bars .* has 239", rows["SHORT"]["reason"])
    assert re.search(r"the hours .* need bars .* holds .* to 2021-04-29", rows["ENDED"]["reason"])
    found = winners_of(made.rows, made.spec.score)
    publish(made, found, summary_of(made, found), "")
    assert [it.symbol for it in found.winners if it.symbol != "FLAT"] == ["HOLE", "GAP"]
    if score == "net_sharpe":
        assert rows["FLAT"]["sharpe"] == 0
    else:
        assert "nothing can be compared" in found.without["FLAT"]


COLUMNS = ("close_time", "open", "high", "low", "close", "volume", "flagged")


def test_where_everything_fails_the_commonest_reason_is_said(tmp_path: Path) -> None:
    """And where all of them are."""
    with pytest.raises(DataError, match=r"all 3 candidates failed, 3 of them because: Zero.*journal.jsonl"):
        selection(tmp_path, [Candidate("broken", PARAMS, Broken())]).run()


class Backwards:
    """An executor that ends the second of two tasks before the first."""

    capacity = 1

    def __init__(self, tasks: int) -> None:
        self._left = tasks
        self._first: tuple[Task, Future[bytes]] | None = None

    def submit(self, task: Task) -> Future[bytes]:
        """Every second task ends at once, and the one before it when the next is given."""
        self._left -= 1
        future, before = Future[bytes](), self._first
        if self._left % 2:
            self._first = task, future
            if before is not None:
                before[1].set_result(before[0].result())
            return future
        future.set_result(task.result())
        if not self._left and before is not None:
            before[1].set_result(before[0].result())
        return future

    def close(self) -> None:
        """There is nothing to end."""


def test_rows_are_in_the_order_of_what_was_asked(tmp_path: Path) -> None:
    """Whichever ends first; so what is published does not depend on the workers."""
    made = selection(tmp_path)
    made.run(Backwards(6))
    ended = [json.loads(line) for line in (tmp_path / "journal.jsonl").read_text().splitlines()]
    assert [row["candidate"] for row in ended[:2]] == ["normal", "naive"]
    assert list(made.rows) == [(name, it) for name in "ABC" for it in ("naive", "normal")]


class Losing:
    """An executor whose worker is lost with every task of one candidate."""

    capacity = 1

    def submit(self, task: Task) -> Future[bytes]:
        """Computed here, or lost."""
        if "normal" not in task.label:
            return at_once(task)
        future: Future[bytes] = Future()
        future.set_exception(WorkerLost("killed"))
        return future

    def close(self) -> None:
        """There is nothing to end."""


def test_a_lost_worker_costs_its_candidate_and_the_next_run_asks_again(tmp_path: Path) -> None:
    """The others are kept; nothing is noted for good of what nobody knows."""
    made = selection(tmp_path)
    rows = made.run(Losing())
    assert {row["reason"] for row in rows.values() if row["state"] == "failed"} == {"WorkerLost: killed"}
    again = selection(tmp_path)
    assert {row["state"] for row in again.run().values()} == {"complete"}
    assert again.computed == 3


def test_a_run_that_is_cut_goes_on_and_ends_as_one_that_was_not(tmp_path: Path) -> None:
    """Ended after two candidates, with a line that a crash cut short."""

    def stop(rows: Sequence[dict[str, Any]]) -> None:
        if any(row["symbol"] == "B" for row in rows):
            raise KeyboardInterrupt

    cut = selection(tmp_path / "cut", on_rows=stop)
    with pytest.raises(KeyboardInterrupt):
        cut.run()
    with (tmp_path / "cut" / "journal.jsonl").open("a") as file:
        file.write('{"key": "ab')
    rows, whole = selection(tmp_path / "cut").run(), selection(tmp_path / "whole").run()
    assert timeless(rows) == timeless(whole)


def timeless(rows: dict[Any, dict[str, Any]]) -> dict[Any, dict[str, Any]]:
    """Rows without what the clock said."""
    return {
        key: {name: value for name, value in row.items() if name != "seconds"} for key, row in rows.items()
    }


def test_it_is_equal_on_two_workers(tmp_path: Path) -> None:
    """Processes give the rows that the caller alone does, in the same order, whichever ended first."""
    made = selection(tmp_path / "two")
    with open_executor("local", Setup(2)) as executor:
        made.run(executor)
    assert list(timeless(made.rows).items()) == list(timeless(selection(tmp_path / "one").run()).items())


def test_two_runs_on_one_folder_are_refused(tmp_path: Path) -> None:
    """The second names the first, and nothing of it is written."""
    refused = pytest.raises(Retry, match=r"written by process \d+.*another --out folder")
    with SelectionFolder(tmp_path).held(), refused, SelectionFolder(tmp_path).held():
        pass


def test_hours_are_traded_with_costs_and_the_best_can_be_trained(tmp_path: Path) -> None:
    """Net Sharpe ratio of the walk; parameters under best/ are read back; models are kept, and forecast without a fit."""
    for name, bars in BARS.items():
        write_bars(tmp_path / f"{name}-1h.parquet", bars)
    files = bars_files([tmp_path])
    made = selection(tmp_path / "out", freq="1h", score="net_sharpe", windows=2)
    made.files = [replace(it, sha256=f"{it.symbol} here") for it in files]
    rows = made.run()
    for row in rows.values():
        assert row["sharpe"] == pytest.approx(row["moments"][1] * math.sqrt(8_760))
        assert row["moments"][0] == 10 * 24
    found = winners_of(rows, "net_sharpe")
    publish(made, found, summary_of(made, found), "")
    best = json.loads((tmp_path / "out" / "best" / "A.json").read_text())
    assert params_of(best, "best").look_back_days == 20
    page = (tmp_path / "out" / "page.html").read_text()
    assert page.count("<svg") == 3
    assert "<script" not in page
    known = {"naive": NaiveForecaster(), "normal": NormalForecaster()}
    for path in (tmp_path / "out" / "models").glob("*.json"):
        card = json.loads(path.read_text())
        path.write_text(json.dumps({**card, "family": card["candidate"]}))
    told = predict_all(tmp_path / "out", lambda path, symbol: BARS[symbol], known.__getitem__, 6)  # type: ignore[arg-type]  # a family
    assert [(it.symbol, it.reason, len(list(it.rows()))) for it in told] == [(name, "", 6) for name in "ABC"]
    assert told[0].close == BARS["A"].close[-1]
    (tmp_path / "out" / "models" / "B").write_bytes(b"{}")
    told = predict_all(tmp_path / "out", lambda path, symbol: BARS[symbol], known.__getitem__, 6)  # type: ignore[arg-type]  # a family
    assert ["not the model that its card describes" in it.reason for it in told] == [False, True, False]


def test_files_are_named_by_their_symbols(tmp_path: Path) -> None:
    """An empty folder, two files of one symbol and a place that is not there are refused, each with the way out."""
    with pytest.raises(ConfigError, match=r"holds no bars.*trader collect"):
        bars_files([tmp_path])
    write_bars(tmp_path / "A-1h.parquet", BARS["A"])
    write_bars(tmp_path / "A-old.parquet", BARS["A"])
    with pytest.raises(
        ConfigError, match=r"A-1h.parquet and .*A-old.parquet are both bars of A.*Leave one out"
    ):
        bars_files([tmp_path])
    with pytest.raises(ConfigError, match="there is no such file or folder"):
        bars_files([tmp_path / "none"])
    assert [it.symbol for it in bars_files([tmp_path / "A-1h.parquet"])] == ["A"]


def test_candidates_are_named_and_refused_before_any_work() -> None:
    """The naive forecast first and once; unknown names, rows of features on days, and families that are not installed."""
    assert [it.name for it in candidates_of(["naive", " naive", ""], PARAMS, "1d", forecaster_of)] == [
        "naive"
    ]
    with pytest.raises(ConfigError, match=r"there is no 'arma'.*trader models families"):
        candidates_of(["arma"], PARAMS, "1d", forecaster_of)
    with pytest.raises(ConfigError, match=r"family 'prophet' is not installed.*pip install '\.\[prophet\]'"):
        candidates_of(["prophet-additive"], PARAMS, "1d", forecaster_of)
    with pytest.raises(ConfigError, match="xgboost reads hours, not days"):
        candidates_of(["xgboost"], PARAMS, "1d", forecaster_of)
    chosen = candidates_of(["xgboost"], PARAMS, "1h", forecaster_of)[1]
    assert (chosen.params.model.family, chosen.params.look_back_days) == ("xgboost", 20)


def test_the_time_left_is_learnt_by_candidate() -> None:
    """One that is dear counts more; one that nobody has seen costs the mean."""
    left = TimeLeft()
    assert left.words({"a": 1}, 2) == ""
    left.learn("a", 1.0)
    left.learn("b", 5.0)
    assert left.seconds({"a": 1, "b": 2, "new": 1}, 2) == pytest.approx((1 + 5 + 5 + 3) / 2)
    assert left.words({"b": 200}, 2) == "about 8 min left"


def test_a_day_later_than_the_bars_has_no_close() -> None:
    """So that a series which ended before the others is seen."""
    days: Floats = daily_closes(BARS["A"], BARS["A"].last // DAY_MS * DAY_MS + 3 * DAY_MS).log_close
    assert np.isnan(days[-3:]).all()
    assert not np.isnan(days[-4])
