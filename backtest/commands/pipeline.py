"""`backtest pipeline` and `backtest status`: from raw bars to a published model, by stages."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from backtest.commands.computing import Computing, computed
from backtest.commands.options import EVIDENCE, AsJson, EvidenceDir
from backtest.commands.pipeline_words import progress_words, show_outcome, show_status
from trader import terminal
from trader.core.errors import ConfigError


class Engine(StrEnum):
    """Who else can run the stages."""

    SNAKEMAKE = "snakemake"


if TYPE_CHECKING:
    from backtest.pipeline.opened import Pipeline
    from backtest.pipeline.run import Outcome, Progress

File = Annotated[Path, typer.Argument(help="the pipeline's TOML file; docs/pipeline.md shows one")]
Why = Annotated[
    bool, typer.Option("--why", help="name every file, parameter, function and version that changed")
]
ManifestFile = Annotated[
    Path | None,
    typer.Option(
        "--manifest",
        help="repeat the run of this manifest, in a folder of its own beside the first, and compare every output",
    ),
]
Stage = Annotated[
    str | None,
    typer.Option(
        "--stage",
        help="run this stage alone, such as predict/BTCUSDT/xgboost; what it needs must be up to date",
    ),
]
Export = Annotated[
    Engine | None,
    typer.Option(
        help="write the stages as a file for this engine, a Snakefile beside the pipeline's, and run nothing"
    ),
]
AsDot = Annotated[bool, typer.Option("--dot", help="print the graph for Graphviz instead of the reasons")]


@computed
def pipeline(
    file: File,
    computing: Computing,
    evidence: EvidenceDir = EVIDENCE,
    manifest: ManifestFile = None,
    stage: Stage = None,
    export: Export = None,
    as_json: AsJson = False,
) -> None:
    """Run the stages of a pipeline that are not up to date: collect, features, tune, predict, backtest, train, check, publish,
    and your own.

    After a kill at any point the same command goes on; finished stages are kept. `backtest status` shows what would run.
    Example: backtest pipeline pipeline.toml --workers 2
    """
    from backtest.pipeline.opened import Pipeline

    began = time.perf_counter()
    if manifest is not None:
        _repeat(file, manifest, computing, as_json=as_json)
        return
    opened = Pipeline.of(file)
    if export is not None:
        _export(opened, as_json=as_json)
        return
    if stage is not None:
        _run_stage(opened, stage, computing, evidence, as_json=as_json)
        return
    with opened.folder.held():
        outcome, number = _run(opened, computing, evidence, began, quiet=as_json)
    told = {
        "ran": [it.job for it in outcome.ran],
        "kept": len(outcome.kept),
        "manifest": number,
        "seconds": round(time.perf_counter() - began, 3),
    }
    if as_json:
        terminal.emit(told)
        return
    show_outcome(opened, outcome, told)


def status(file: File, why: Why = False, dot: AsDot = False, as_json: AsJson = False) -> None:
    """Show for each stage of a pipeline whether it is up to date, or what changed and what would therefore run. Runs nothing and
    makes no network request.

    Example: backtest status pipeline.toml --why
    """
    from backtest.pipeline.opened import Pipeline

    opened = Pipeline.of(file)
    verdicts = opened.judged()
    if as_json:
        terminal.emit([it.as_json() for it in verdicts])
    elif dot:
        from backtest.pipeline import picture

        terminal.show(picture.dot(picture.nodes_of(verdicts, len(verdicts))))
    else:
        show_status(opened, verdicts, why=why)


def _run(
    opened: Pipeline, computing: Computing, evidence: Path, began: float, *, quiet: bool
) -> tuple[Outcome, int]:
    """The stages, then the manifest and the page; an interrupted run ends by saying what is kept."""
    from backtest.pipeline.market import bring_from_market
    from backtest.pipeline.run import PipelineRun

    folder = opened.folder
    folder.mend()
    judge, caches = opened.judge()
    try:
        with (
            computing.opened(folder.path) as executor,
            terminal.progress("stages", quiet=quiet) as update,
        ):
            run = PipelineRun(
                opened.jobs, judge, folder, executor, evidence, bring_from_market, _telling(update, quiet)
            )
            outcome = run.to_the_end()
    except KeyboardInterrupt:
        terminal.say(
            f"interrupted: finished stages are kept in {folder.path}; the same command goes on from there"
        )
        raise SystemExit(terminal.EXIT_INTERRUPTED) from None
    finally:
        caches.keep()
    _raise_failure(outcome)
    return outcome, _noted(opened, outcome, time.perf_counter() - began)


def _raise_failure(outcome: Outcome) -> None:
    """What a person's own stages printed before they failed, a line each; then the first failure."""
    from backtest.pipeline.own_process import OwnStageFailed

    for name, error in outcome.failed.items():
        if isinstance(error, OwnStageFailed):
            for line in error.printed:
                terminal.say(f"{name}: {line}")
    outcome.raise_failure()


def _noted(opened: Pipeline, outcome: Outcome, seconds: float) -> int:
    """The number of the manifest that describes what is there: a new one where anything was run or put back."""
    from backtest.executors.program import program
    from backtest.pipeline.picture import page
    from backtest.pipeline.run import is_described, manifest_of

    folder, before = opened.folder, opened.folder.manifests()
    verdicts = [outcome.verdicts[it.name] for it in opened.jobs]
    if before and not (outcome.ran or outcome.restored) and is_described(before[-1], verdicts):
        with suppress(OSError):
            before[-1].touch()  # everything that is older was looked at
        return int(before[-1].stem)
    path = folder.write_manifest(manifest_of(opened.spec.text, verdicts, program(), seconds))
    folder.write("index.html", page(f"Pipeline {opened.spec.path.name}", verdicts))
    return int(path.stem)


def _telling(update: Callable[..., None], quiet: bool) -> Callable[[Progress], None]:
    """A bar on a terminal; elsewhere a line a stage that was run."""
    lines = not quiet and not sys.stderr.isatty()

    def tell(at: Progress) -> None:
        update(at.done, at.of, progress_words(at))
        if lines and at.seconds is not None:
            terminal.say(f"{at.done} of {at.of}: {progress_words(at)}")

    return tell


def _repeat(file: Path, manifest: Path, computing: Computing, *, as_json: bool) -> None:
    """A run again from its manifest; exit code 2 where an output has other bytes. Its looks are counted in its own folder: they
    are the first run's."""
    from backtest.pipeline.repeat import Manifest

    began, told = time.perf_counter(), Manifest.read(manifest)
    again = told.again(file)
    with again.folder.held():
        _run(again, computing, again.folder.path / "evidence", began, quiet=as_json)
        records = {it.job: it for it in again.folder.records()}
    found = told.differences(records)
    if as_json:
        terminal.emit({"manifest": told.number, "stages": len(told.stages), "differences": found})
    else:
        terminal.show(
            *found or [f"run {told.number} again: all outputs of {len(told.stages)} stages are equal bytes"]
        )
    if found:
        raise SystemExit(ConfigError.exit_code)


def _run_stage(opened: Pipeline, name: str, computing: Computing, evidence: Path, *, as_json: bool) -> None:
    """One stage, beside others in processes of their own. Raises ConfigError where one that it needs is not up to date."""
    from backtest.pipeline.market import bring_from_market
    from backtest.pipeline.run import PipelineRun

    job = opened.job(name)
    with opened.folder.shared():
        judge, caches = opened.judge()
        verdicts = {it.job.name: it for it in judge.all(opened.jobs)}
        if old := [it for it in job.needs if not verdicts[it].up_to_date]:
            raise ConfigError(
                f"stage {name} needs {old[0]}, which is not up to date ({'; '.join(verdicts[old[0]].why)}); run that stage first"
            )
        needed = {it: verdicts[it] for it in job.needs}
        with computing.opened(opened.folder.path) as executor:
            run = PipelineRun(
                [job], judge, opened.folder, executor, evidence, bring_from_market, lambda _: None, needed
            )
            outcome = run.to_the_end()
        caches.keep()
        _raise_failure(outcome)
    if as_json:
        terminal.emit({"ran": [it.job for it in outcome.ran], "kept": len(outcome.kept)})
    else:
        terminal.show(f"{name}: {'ran' if outcome.ran else 'was up to date'}")


def _export(opened: Pipeline, *, as_json: bool) -> None:
    from backtest.pipeline.snakemake import write_snakefile

    path = write_snakefile(opened)
    if as_json:
        terminal.emit({"file": str(path), "stages": len(opened.jobs)})
    else:
        terminal.show(
            f"{path}: {len(opened.jobs)} rules. To run them, in the folder of that file: snakemake --cores 2"
        )
