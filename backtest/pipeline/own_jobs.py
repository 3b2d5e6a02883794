"""A person's own stages as jobs: what they read is a file below the pipeline's folder, or an output of another stage."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase

from backtest.pipeline.job import Input, Job
from backtest.pipeline.spec import STAGES, OwnStage, Spec
from trader.core.errors import ConfigError


def own_jobs(spec: Spec, built: Sequence[Job]) -> list[Job]:
    """Raises ConfigError for an output named twice, and for a name in `after` that is no stage."""
    made = {f"{job.name}/{output}": (job.name, output) for job in built for output in job.outputs}
    for stage in spec.own:
        for output in stage.outputs:
            place = f"{stage.name}/{output}"
            clash = next((it for it in made if _clash(it, place)), None)
            if clash:
                raise ConfigError(
                    f"{spec.path}: [stage.{stage.name}] outputs names {output!r}, and {clash} is made already; name another"
                )
            made[place] = (stage.name, output)
    return [_job(spec, stage, built, made) for stage in spec.own]


def _clash(one: str, other: str) -> bool:
    """One is the other, or a folder that the other lies in."""
    return one == other or one.startswith(f"{other}/") or other.startswith(f"{one}/")


def _job(spec: Spec, stage: OwnStage, built: Sequence[Job], made: dict[str, tuple[str, str]]) -> Job:
    inputs = [it for name in stage.inputs for it in _inputs(spec, stage, name, made)]
    names = [it.name for it in inputs]
    if twice := [it for it in names if names.count(it) > 1]:
        raise ConfigError(f"{spec.path}: [stage.{stage.name}] inputs names {twice[0]} twice; name it once")
    if both := [it for it in names if any(_clash(it, output) for output in stage.outputs)]:
        raise ConfigError(
            f"{spec.path}: [stage.{stage.name}] names {both[0]!r} in inputs and in outputs; write to another file"
        )
    after = tuple(it for name in stage.after for it in _after(spec, stage, name, built))
    return Job(stage.name, stage.name, tuple(inputs), stage.outputs, run=stage.run, after=after)


def _inputs(spec: Spec, stage: OwnStage, name: str, made: dict[str, tuple[str, str]]) -> Iterator[Input]:
    found = [it for it in made if fnmatchcase(it, name)]
    if found:
        for it in found:
            job, output = made[it]
            yield Input(it, job=job, output=output)
        return
    if any(it in name for it in "*?["):
        raise ConfigError(
            f"{spec.path}: [stage.{stage.name}] inputs {name!r} matches no output of a stage; they are named like "
            f"backtest/{spec.symbols[0]}/{spec.families[0]}/summary.json"
        )
    if (spec.folder / name).is_dir():
        raise ConfigError(
            f"{spec.path}: [stage.{stage.name}] inputs {name!r} is a folder; name the files in it that the stage reads"
        )
    yield Input(name, path=spec.folder / name)


def _after(spec: Spec, stage: OwnStage, name: str, built: Sequence[Job]) -> list[str]:
    own = [it.name for it in spec.own if it.name == name]
    found = own or [job.name for job in built if job.name == name or job.name.startswith(f"{name}/")]
    if not found:
        known = ", ".join([*STAGES, *(it.name for it in spec.own)])
        raise ConfigError(f"{spec.path}: [stage.{stage.name}] after {name!r} is no stage; they are {known}")
    return found
