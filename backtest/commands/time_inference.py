"""`backtest time-inference`: what a prediction of a model costs, in every form that the model has."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from backtest.commands.model_folder import STORE, ModelsStore, model_folder, read_model
from backtest.commands.options import AsJson
from trader import terminal
from trader.core.errors import ConfigError, DataError

Model = Annotated[
    str,
    typer.Argument(
        help="champion, or a model's id in --store, or the beginning of it; or the path of a model's folder"
    ),
]
Seconds = Annotated[
    float,
    typer.Option(
        min=0.01, max=60, help="for how many seconds each number of rows is predicted again and again"
    ),
]
NATIVE = "native"


def time_inference(
    model: Model, store: ModelsStore = STORE, seconds: Seconds = 1.0, as_json: AsJson = False
) -> None:
    """Measure how long a model takes for 1, 32 and 1,024 rows: native, and in each form that trader export writes.

    Each form runs in a process of its own, on one thread. Median and 99th percentile time the model alone, with the rows in an
    array; predict times the predictor for one hour, its features given; cold is the time from the import of the libraries to the
    first prediction; MB is the peak memory of the process. Rows are random, within the ranges of the training.
    Example: backtest time-inference 20220101T00 --store state
    """
    folder = model_folder(model, store)
    rows = []
    with tempfile.TemporaryDirectory(prefix="time-inference-") as name:
        for form in _forms(folder, Path(name)):
            rows += _timed(Path(name), form, seconds)
    if as_json:
        terminal.emit(rows)
        return
    _show(folder.name, rows)


def _forms(folder: Path, work: Path) -> Iterator[str]:
    """The forms that the model has, each once its file lies in `work`. One whose library is missing is told and left out."""
    from trader.core.export_scene import facts_for
    from trader.core.ports import Exportable
    from trader.forecasters.registry import forecaster_of

    card, model = read_model(folder)
    (work / card.model_id).mkdir()
    (work / card.model_id / "card").write_bytes(card.to_bytes())
    (work / card.model_id / "model").write_bytes(model)
    yield NATIVE
    forecaster = forecaster_of(card.family)
    if not isinstance(forecaster, Exportable):
        return
    for form in forecaster.export_forms:
        try:
            data = forecaster.export(model, form, facts_for(card))
        except ConfigError as error:
            terminal.say(f"{form} is left out: {error}", "warning")
            continue
        (work / card.model_id / f"export-{form}").write_bytes(data)
        yield form


def _timed(work: Path, form: str, seconds: float) -> list[dict[str, Any]]:
    """What a fresh process measured. Raises DataError where it failed."""
    from trader.core.families import own_family
    from trader.core.model import own_card

    (folder,) = work.iterdir()
    command = [sys.executable, "-m", "backtest.commands.inference_process", str(folder), form, str(seconds)]
    card = own_card((folder / "card").read_bytes(), None, folder.name, str(folder))
    if own := own_family(card.family):
        command.append(own.path)
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - this very program
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise DataError(f"{folder.name} as {form} could not be timed: {last}")
    found: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return found


def _show(title: str, rows: list[dict[str, Any]]) -> None:
    shown = [
        (
            f"{it['form']}",
            f"{it['rows']:,}",
            f"{it['median_us']:,.1f}",
            f"{it['p99_us']:,.1f}",
            f"{it['predict_us']:,.1f}" if it["rows"] == 1 else "",
            f"{it['cold_load_ms']:,.0f}" if it["rows"] == 1 else "",
            f"{it['memory_mb']:,.0f}" if it["rows"] == 1 else "",
        )
        for it in rows
    ]
    head = ("form", "rows", "median us", "p99 us", "predict us", "cold ms", "MB")
    terminal.show(terminal.table(f"{title}, one thread", shown, head))
