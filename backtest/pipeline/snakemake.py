"""A pipeline's stages as rules of Snakemake, each a call of `backtest pipeline --stage`, so that its executors run them.

Whether a stage must be computed is decided by `backtest`, by its key: every rule reads the pipeline's file, so Snakemake calls
each stage after that changed, and a stage that is up to date is put back in a moment.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from backtest.pipeline.job import Job
from backtest.pipeline.opened import Pipeline
from trader.core.errors import ConfigError

HEAD = "# Written by `backtest pipeline --export snakemake`; write it anew when the stages change.\n"


def write_snakefile(pipeline: Pipeline) -> Path:
    """`Snakefile` in the folder of the pipeline's file, where its rules are to be run. Raises ConfigError for one that somebody
    else wrote."""
    path = pipeline.spec.folder / "Snakefile"
    try:
        if path.exists() and not path.read_text(encoding="utf-8").startswith(HEAD):
            raise ConfigError(f"{path} was not written by this command; move it aside")
        path.write_text(snakefile_of(pipeline), encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}") from None
    return path


def snakefile_of(pipeline: Pipeline) -> str:
    """Its text; paths begin at the pipeline's folder."""
    needed = {name for job in pipeline.jobs for name in job.needs}
    last = [it for job in pipeline.jobs if job.name not in needed for it in _outputs(pipeline, job)]
    rules = [f"rule all:\n    input:\n{_listed(last)}"]
    by_name = {job.name: job for job in pipeline.jobs}
    for job in pipeline.jobs:
        rules.append(
            f"rule {re.sub(r'[^A-Za-z0-9_]', '_', job.name)}:\n"
            f"    input:\n{_listed([*_inputs(pipeline, job, by_name)])}"
            f"    output:\n{_listed(_outputs(pipeline, job))}"
            f"    shell:\n        {_command(pipeline, job)!r}\n"
        )
    return "\n\n".join([HEAD, *rules])


def _inputs(pipeline: Pipeline, job: Job, by_name: dict[str, Job]) -> Iterator[str]:
    spec = pipeline.spec
    yield spec.path.name
    if job.run is not None:
        yield _relative(spec.folder, job.run)
    for it in job.inputs:
        yield _relative(spec.folder, it.path) if it.path else _current(pipeline, it.job, it.output)
    for name in job.after:
        yield _current(pipeline, name, by_name[name].outputs[0])


def _outputs(pipeline: Pipeline, job: Job) -> list[str]:
    return [_current(pipeline, job.name, it) for it in job.outputs]


def _current(pipeline: Pipeline, job: str, output: str) -> str:
    return _relative(pipeline.spec.folder, pipeline.folder.link_of(job, output))


def _relative(folder: Path, path: Path) -> str:
    try:
        return path.relative_to(folder).as_posix()
    except ValueError:
        return str(path.absolute())


def _command(pipeline: Pipeline, job: Job) -> str:
    words = ["backtest", "pipeline", pipeline.spec.path.name, "--stage", job.name, "--workers"]
    return f"{shlex.join(words).replace('{', '{{').replace('}', '}}')} {{threads}}"


def _listed(paths: list[str]) -> str:
    """Each once."""
    return "".join(f"        {it!r},\n" for it in dict.fromkeys(paths))
