"""A finished run, done again from its manifest in a folder of its own, and compared."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from backtest.pipeline.folder import PipelineFolder
from backtest.pipeline.graph import jobs_of
from backtest.pipeline.opened import Pipeline
from backtest.pipeline.record import Record
from backtest.pipeline.spec import spec_of
from trader.core.errors import DataError


@dataclass(frozen=True, slots=True)
class Manifest:
    """number: of the run. file: the pipeline's text. stages: what finished, by name."""

    number: int
    file: str
    stages: Mapping[str, Record]

    @staticmethod
    def read(path: Path) -> Manifest:
        """Raises DataError for a file that is none."""
        try:
            told = json.loads(path.read_text(encoding="utf-8"))
            stages = {it["stage"]: Record.of_json(it) for it in told["stages"]}
            return Manifest(int(told["number"]), str(told["file"]), stages)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path} is no manifest of a pipeline ({error})") from None

    def again(self, file: Path) -> Pipeline:
        """Its pipeline, in a folder `again-<n>` beside the first one. file: says where relative paths begin."""
        spec = spec_of(file, self.file, tomllib.loads(self.file))
        folder = spec.out.with_name(f"{spec.out.name}-again-{self.number}")
        return Pipeline(spec, jobs_of(spec), PipelineFolder(folder))

    def differences(self, records: Mapping[str, Record]) -> list[str]:
        """Where the outputs of another run are not those of this one, and what else differs in what they follow from."""
        told = []
        for name, mine in self.stages.items():
            other = records.get(name)
            if other is None:
                told.append(f"{name} did not run")
            elif other.outputs != mine.outputs:
                outputs = [it for it in mine.outputs if other.outputs.get(it) != mine.outputs[it]]
                why = _why(mine, other)
                told.append(
                    f"{name}: {', '.join(outputs)} {'is' if len(outputs) == 1 else 'are'} other bytes{why}"
                )
        return told


def _why(mine: Record, other: Record) -> str:
    changed = [
        what
        for what, one, two in (
            ("inputs", mine.basis.inputs, other.basis.inputs),
            ("code", mine.basis.code, other.basis.code),
            ("libraries", mine.basis.libraries, other.basis.libraries),
        )
        if one != two
    ]
    return f" (other {' and '.join(changed)})" if changed else " (from the same inputs, code and libraries)"
