"""A pipeline's file, opened: its jobs, and what is known of them."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import cache_from_source
from pathlib import Path

from backtest.pipeline import code as code_module
from backtest.pipeline.code import Code
from backtest.pipeline.file_hashes import FileHashes
from backtest.pipeline.folder import PipelineFolder
from backtest.pipeline.graph import jobs_of
from backtest.pipeline.job import Job
from backtest.pipeline.judge import Judge, StageStatus
from backtest.pipeline.spec import Spec, read_spec
from trader.core.errors import ConfigError
from trader.core.model_params import FAMILIES


@dataclass(frozen=True, slots=True)
class Pipeline:
    """What a pipeline's file says, and the folder that it fills."""

    spec: Spec
    jobs: list[Job]
    folder: PipelineFolder

    @staticmethod
    def of(file: Path, out: Path | None = None) -> Pipeline:
        """out: another folder than the file's. Raises ConfigError."""
        spec = read_spec(file)
        return Pipeline(spec, jobs_of(spec), PipelineFolder(out or spec.out))

    def job(self, name: str) -> Job:
        """A stage by its name. Raises ConfigError that lists those of its kind."""
        found = next((it for it in self.jobs if it.name == name), None)
        if found is None:
            near = [it.name for it in self.jobs if it.kind == name.split("/")[0]] or [
                it.name for it in self.jobs
            ]
            raise ConfigError(
                f"{self.spec.path}: there is no stage {name!r}; there are {', '.join(near[:20])}"
            )
        return found

    def judged(self) -> list[StageStatus]:
        """Every stage as it is now. What had to be read is kept for the next time: of this project beside its bytecode, of the
        rest in the folder, if it is there."""
        judge, caches = self.judge()
        found = judge.all(self.jobs)
        caches.keep()
        return found

    def judge(self) -> tuple[Judge, Caches]:
        """What knows of every stage."""
        kept = self.folder.path.is_dir()
        mine = self.folder.cache("code.json") if kept else None
        code = Code(mine, families=FAMILIES, shared=_beside_bytecode())
        hashes = FileHashes(self.folder.cache("files.json") if kept else None)
        return Judge(self.folder, code, hashes), Caches(code, hashes)


def _beside_bytecode() -> Path:
    """What every pipeline of this installation may know of its sources, where Python keeps the like."""
    return Path(cache_from_source(code_module.__file__)).with_suffix(".json")


@dataclass(frozen=True, slots=True)
class Caches:
    """What was read of sources and files."""

    code: Code
    hashes: FileHashes

    def keep(self) -> None:
        """For the next time."""
        self.code.keep()
        self.hashes.keep()
