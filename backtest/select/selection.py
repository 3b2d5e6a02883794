"""Series x candidates as one resumable study: what has ended is kept, what failed is noted, nothing is computed twice."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from backtest.executors.futures import InFlight, InProcess
from backtest.executors.protocol import Executor
from backtest.select.candidates import Candidate
from backtest.select.folder import SelectionFolder
from backtest.select.row_tasks import CandidateRows, FinishedRow, Row, SelectionTask, finished_of, tasks_of
from backtest.select.spec import BarsFile, FileFacts, SelectionSpec
from backtest.select.timing import TimeLeft
from backtest.study.cache import code_hash
from trader.core.errors import DataError

# Tasks given out at once for each worker: one is computed, the next is there when it ends.
_AHEAD = 2


@dataclass(slots=True)
class Selection:
    """One run: which rows there are, and which this call computed. on_rows is told of those that ended now."""

    folder: SelectionFolder
    spec: SelectionSpec
    candidates: Sequence[Candidate]
    files: Sequence[BarsFile]
    facts: dict[str, FileFacts]
    progress: Callable[..., None] = lambda *_: None
    on_rows: Callable[[Sequence[Row]], None] = lambda _: None
    computed: int = 0
    rows: dict[tuple[str, str], Row] = field(default_factory=dict)
    _left: TimeLeft = field(default_factory=TimeLeft)

    def run(self, executor: Executor | None = None) -> dict[tuple[str, str], Row]:
        """Evaluate what is not kept yet; rows by symbol and candidate, in the order of both.

        Raises DataError where every candidate failed. What a lost worker computed is asked for again by the next run.
        """
        executor, kept = executor or InProcess(), self.folder.rows()
        todo: list[CandidateRows] = []
        keys = {it.name: self._key_of(it) for it in self.candidates}
        pooled: dict[str, CandidateRows] = {}
        for file in self.files:
            for candidate in self.candidates:
                key = keys[candidate.name](file)
                row = _row(file, candidate, key)
                if key in kept:
                    self.rows[file.symbol, candidate.name] = kept[key]
                    self._left.learn(candidate.name, kept[key].get("seconds", 0.0))
                elif not self._is_pooled(candidate):
                    todo.append(CandidateRows(candidate, [file], [row]))
                elif candidate.name in pooled:
                    pooled[candidate.name].rows.append(row)
                else:
                    pooled[candidate.name] = CandidateRows(candidate, self.files, [row])
        todo += pooled.values()
        self._compute(todo, executor)
        self._require_a_result()
        order = [(file.symbol, it.name) for file in self.files for it in self.candidates]
        self.rows = {one: self.rows[one] for one in order}  # whoever finished first
        return self.rows

    def _is_pooled(self, candidate: Candidate) -> bool:
        """Whether one model is fitted on all series."""
        return candidate.forecaster.traits.scope == "global" and len(self.files) > 1

    def _key_of(self, candidate: Candidate) -> Callable[[BarsFile], str]:
        """The key of a candidate on a file: the hash of all that its row follows from."""
        before = json.dumps(self.spec.as_json(), sort_keys=True)
        rest: list[Any] = [candidate.params.as_json(), code_hash(candidate.forecaster)]
        if self._is_pooled(candidate):
            rest.append([[it.symbol, it.sha256] for it in self.files])
        after = json.dumps(rest, sort_keys=True)[1:]

        def key(file: BarsFile) -> str:
            text = f"[{before}, {json.dumps(file.sha256)}, {json.dumps(file.symbol)}, {after}"
            return hashlib.sha256(text.encode()).hexdigest()

        return key

    def _compute(self, todo: list[CandidateRows], executor: Executor) -> None:
        total = len(self.files) * len(self.candidates)
        left = Counter(pending.candidate.name for pending in todo for _ in pending.rows)
        waiting: InFlight[SelectionTask] = InFlight()
        tasks = tasks_of(todo, self.spec)
        self.progress(len(self.rows), total, "")
        try:
            while True:
                while (
                    len(waiting) < _AHEAD * executor.capacity and (submitted := next(tasks, None)) is not None
                ):
                    if isinstance(submitted, SelectionTask):
                        waiting.add(executor.submit(submitted.task), submitted)
                    else:
                        self._keep([FinishedRow.of(*submitted)])
                        left[submitted[0]["candidate"]] -= 1
                if not waiting:
                    return
                left.subtract(row["candidate"] for row in self._take(waiting.done()))
                self.progress(len(self.rows), total, self._left.words(left, executor.capacity))
        finally:
            # After an interrupt, or an error: what was not begun is cancelled, what was is waited for and kept.
            self._take(waiting.cancel())

    def _take(self, done: Iterable[tuple[Future[bytes], SelectionTask]]) -> list[Row]:
        """Their rows, kept together: those of a thousand workers are flushed to the disk once."""
        finished: list[FinishedRow] = []
        try:
            for future, submitted in done:
                finished += finished_of(submitted, future)
        finally:
            kept = self._keep(finished)
        return kept

    def _keep(self, finished: Sequence[FinishedRow]) -> list[Row]:
        """Who counts candidates hears of them first: twice after a kill perhaps, but of each."""
        rows = [it.row for it in finished]
        if rows:
            self.on_rows(rows)
            self.folder.append([(it.row, it.result) for it in finished if it.keep])
        for row in rows:
            self.rows[row["symbol"], row["candidate"]] = row
            self._left.learn(row["candidate"], row.get("seconds", 0.0))
        self.computed += len(rows)
        return rows

    def _require_a_result(self) -> None:
        reasons = [row["reason"] for row in self.rows.values() if row["state"] == "failed"]
        if len(reasons) == len(self.rows):
            common = max(sorted(set(reasons)), key=reasons.count)
            raise DataError(
                f"all {len(reasons)} candidates failed, {reasons.count(common)} of them because: {common}. Every reason is in "
                f"{self.folder.path / 'journal.jsonl'}"
            )


def _row(file: BarsFile, candidate: Candidate, key: str) -> Row:
    family = candidate.params.model.family
    return {"key": key, "symbol": file.symbol, "candidate": candidate.name, "family": family}
