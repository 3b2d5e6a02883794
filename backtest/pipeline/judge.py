"""Is a stage up to date, and if not, why? Nothing is run, and no network is asked."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backtest.pipeline.code import Code, Reached
from backtest.pipeline.file_hashes import FileHashes
from backtest.pipeline.folder import PipelineFolder, page_ending
from backtest.pipeline.job import Job
from backtest.pipeline.notebook import code_of_notebook
from backtest.pipeline.record import Basis, Record


@dataclass(frozen=True, slots=True)
class StageStatus:
    """Of one job. why: what changed, each a sentence's part; empty where it is up to date. basis: None where an input is not
    known yet. record: what holds its outputs; where it is there and the job is not up to date, they only have to be put back.
    missing: an input that is not there."""

    job: Job
    up_to_date: bool
    why: tuple[str, ...] = ()
    basis: Basis | None = None
    reached: Reached | None = None
    record: Record | None = None
    missing: str = ""

    def as_json(self) -> dict[str, Any]:
        """As `backtest status --json` says it."""
        return {"stage": self.job.name, "up_to_date": self.up_to_date, "why": "; ".join(self.why)}


class Judge:
    """What is known of finished stages, and of the code and the files as they are now."""

    def __init__(self, folder: PipelineFolder, code: Code, hashes: FileHashes) -> None:
        self.folder, self._code, self._hashes = folder, code, hashes
        self._by_key: dict[str, Record] = {}
        self._newest: dict[str, Record] = {}
        for record in folder.records():
            self.finished(record)

    def finished(self, record: Record) -> None:
        """One more."""
        self._by_key[record.key] = record
        self._newest[record.job] = record

    def newest(self, job: str) -> Record | None:
        """How a job finished last."""
        return self._newest.get(job)

    def all(self, jobs: Iterable[Job]) -> list[StageStatus]:
        """Of jobs in an order in which each comes after what it needs."""
        found: dict[str, StageStatus] = {}
        for job in jobs:
            found[job.name] = self.of(job, found)
        return [*found.values()]

    def of(self, job: Job, before: Mapping[str, StageStatus]) -> StageStatus:
        """before: the verdicts of all that it needs."""
        waits = tuple(f"{name} runs before" for name in job.needs if not before[name].up_to_date)
        if waits:
            return StageStatus(job, False, self._also(job, waits))
        inputs: dict[str, str] = {}
        for it in job.inputs:
            record = before[it.job].record if it.job else None
            known = record.outputs[it.output] if record else self._hashes.of(it.path) if it.path else None
            if known is None:
                return StageStatus(job, False, (f"{it.said} is not there",), missing=it.said)
            inputs[it.name] = known
        if job.run is not None and not job.run.is_file():
            return StageStatus(job, False, (f"{job.run} is not there",), missing=str(job.run))
        reached = self._reached(job)
        basis = Basis(job.kind, inputs, dict(job.params), job.outputs, reached.digest, reached.libraries)
        record = self._by_key.get(basis.key)
        if record is None:
            return StageStatus(job, False, self._changes(job, basis, reached), basis, reached)
        damaged = self._damaged(record)
        if damaged:
            return StageStatus(job, False, damaged, basis, reached)
        moved = self._unlinked(job, record)
        return StageStatus(job, not moved, moved, basis, reached, record)

    def _also(self, job: Job, waits: tuple[str, ...]) -> tuple[str, ...]:
        """What is known to have changed already, though the inputs are not known yet."""
        last = self._newest.get(job.name)
        if last is None or (job.run is not None and not job.run.is_file()):
            return ("it has never run",) if last is None else waits
        reached = self._reached(job)
        basis = Basis(
            job.kind, last.basis.inputs, dict(job.params), job.outputs, reached.digest, reached.libraries
        )
        return (*_differences(last.basis, basis, self._code_changes(last.basis.code, reached)), *waits)

    def _reached(self, job: Job) -> Reached:
        source = code_of_notebook(job.run) if job.run is not None and job.run.suffix == ".ipynb" else None
        return self._code.reached(job.code, job.families, job.run, source)

    def _changes(self, job: Job, basis: Basis, reached: Reached) -> tuple[str, ...]:
        last = self._newest.get(job.name)
        if last is None:
            return ("it has never run",)
        said = {it.name: it.said for it in job.inputs}
        changed = [
            f"{said[name]} changed" if name in last.basis.inputs else f"{said[name]} is a new input"
            for name, known in basis.inputs.items()
            if last.basis.inputs.get(name) != known
        ]
        changed += [f"{it} is no input any more" for it in last.basis.inputs if it not in basis.inputs]
        more = _differences(last.basis, basis, self._code_changes(last.basis.code, reached))
        return (*changed, *more) or ("its key was computed in another way",)

    def _code_changes(self, before: str, now: Reached) -> list[str]:
        if before == now.digest:
            return []
        old = self.folder.code(before)
        changed = [it for it, code in now.code.items() if it in old and old[it] != code]
        added = [it for it in now.code if it not in old]
        gone = [it for it in old if it not in now.code]
        told = [f"code: {_place(it)} changed" for it in changed]
        told += [f"code: {_place(it)} is used now" for it in added] if old else ["code changed"]
        return told + [f"code: {_place(it)} is no longer used" for it in gone]

    def _damaged(self, record: Record) -> tuple[str, ...]:
        """Outputs whose content is not what was made."""
        told = []
        for output, name in record.outputs.items():
            now = self._hashes.of(self.folder.place_of(name))
            if now != name:
                told.append(f"output {output} {'is lost' if now is None else 'was edited'}")
        return tuple(told)

    def _unlinked(self, job: Job, record: Record) -> tuple[str, ...]:
        """Outputs that are not the ones a person finds."""
        told = []
        for output, name in record.outputs.items():
            link = self.folder.link_place(job.name, output)
            try:
                there = os.readlink(link)  # noqa: PTH115  # as it stands, not resolved
            except FileNotFoundError:
                told.append(f"output {output} is not in current/")
                continue
            except OSError:
                told.append(f"output {output} was edited")
                continue
            if there != self.folder.target_of(job.name, output, name):
                told.append(f"output {output} is of another run")
            elif page_ending(output) and not Path(link).exists():
                told.append(f"output {output} is not in current/")
        return tuple(told)


def _differences(before: Basis, now: Basis, code: list[str]) -> tuple[str, ...]:
    """Of parameters, outputs, code and libraries."""
    told = [
        f"parameter {path} {_short(old)}, now {_short(new)}"
        for path, old, new in _changed_params("", before.params, now.params)
    ]
    if before.outputs != now.outputs:
        told.append("its outputs have other names")
    libraries = {**before.libraries, **now.libraries}
    told += [
        f"library {it} {before.libraries.get(it, 'none')}, now {now.libraries.get(it, 'none')}"
        for it in libraries
        if before.libraries.get(it) != now.libraries.get(it)
    ]
    return (*told, *code)


def _changed_params(path: str, before: Any, now: Any) -> Iterable[tuple[str, Any, Any]]:
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        for name in dict.fromkeys((*before, *now)):
            where = f"{path}.{name}" if path else name
            yield from _changed_params(where, before.get(name), now.get(name))
    elif before != now and not (isinstance(before, list) and before == list(now or ())):
        yield path, before, now


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 40 else text[:37] + "..."


def _place(definition: str) -> str:
    module, _, name = definition.partition(":")
    return f"{name} of {module}" if name else module
