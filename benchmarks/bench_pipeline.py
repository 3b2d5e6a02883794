"""A pipeline that has nothing to do, one of which a threshold changed, and a book of eight on two workers."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from backtest.pipeline.folder import PipelineFolder
from backtest.pipeline.judge import StageStatus
from backtest.pipeline.opened import Pipeline
from backtest.pipeline.record import Record
from benchmarks.figure import Figure
from benchmarks.scene import Process, backtest, bars, median, process
from trader.adapters.files import write_bars
from trader.core.types import DAY_MS, Bars, iso, parse_hour

ROUNDS = 5
FILE = """
[pipeline]
bars = "data"
symbols = {symbols}
from = "{start}"
to = "{stop}"
families = {families}
out = "out"

[params]
look_back_days = {look_back}

[model.xgboost]
n_estimators = {trees}

[tune]
trials = {trials}

[check]
days = {check}

[backtest]
enter_edge = 0.01
"""


@dataclass(frozen=True, slots=True)
class Scene:
    """How large each part is. book: symbols of the book; many: those of the pipeline with many outputs. trials: of the search in
    the pipeline of which a threshold changes, as many as a pipeline has by default. pairs: of runs of the book,
    on one worker and on two."""

    many: int
    days: int
    trees: int
    trials: int
    book: int
    book_days: int
    rounds: int
    pairs: int


FULL = Scene(many=72, days=730, trees=355, trials=20, book=8, book_days=730, rounds=ROUNDS, pairs=3)
SMALL = Scene(many=3, days=40, trees=20, trials=0, book=2, book_days=20, rounds=1, pairs=1)


def run() -> list[Figure]:
    """1,000 outputs; two years of hours; eight symbols."""
    return _figures(FULL)


def run_small() -> list[Figure]:
    """The same code within seconds."""
    return _figures(SMALL)


def _figures(scene: Scene) -> list[Figure]:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        known = bars(root)
        return [
            *_nothing_changed(root / "many", known, scene, root),
            *_threshold(root / "one", known, scene, root),
            *_workers(root / "book", known, scene, root),
        ]


def _nothing_changed(folder: Path, known: Bars, scene: Scene, root: Path) -> list[Figure]:
    symbols = [f"S{i:03d}USDT" for i in range(scene.many)]
    _written(folder, known, symbols, 10, families=["naive"], trees=1, look_back=7, check=1)
    outputs = _filled(Pipeline.of(folder / "p.toml"))
    _backtest(folder, root, "pipeline", "p.toml", "--json")  # its bytecode, its manifest
    again = [_backtest(folder, root, "pipeline", "p.toml", "--json") for _ in range(scene.rounds)]
    status = [_backtest(folder, root, "status", "p.toml", "--json") for _ in range(scene.rounds)]
    floor = median([_backtest(folder, root, "--version").wall_s for _ in range(scene.rounds)])
    cpu = f"{median([it.cpu_s for it in status]):.2f}, {median([it.cpu_s for it in again]):.2f} s"
    note = f"of which the program's start {floor:.2f} s; processor time of status and pipeline {cpu}"
    old = sum(not it["up_to_date"] for it in json.loads(status[-1].said))
    ran = len(json.loads(again[-1].said)["ran"])
    return [
        Figure("stored outputs", outputs, "at least", 1_000 if scene is FULL else 14, is_result=True),
        Figure("stages that would run", old, "exactly", 0, is_result=True),
        Figure("stages that ran again", ran, "exactly", 0, is_result=True),
        Figure(
            "backtest status, nothing changed",
            median([it.wall_s for it in status]),
            "at most",
            1.0,
            "s",
            note,
        ),
        Figure(
            "backtest pipeline, nothing changed",
            median([it.wall_s for it in again]),
            "at most",
            2.0,
            "s",
            note,
        ),
    ]


def _filled(pipeline: Pipeline) -> int:
    """Outputs of every stage, as many and under the keys as a run would leave them; what they hold plays no part here."""
    folder = pipeline.folder
    folder.path.mkdir()
    judge, _ = pipeline.judge()
    verdicts: dict[str, StageStatus] = {}
    records: list[Record] = []
    count = 0
    for job in pipeline.jobs:
        basis, reached = (told := judge.of(job, verdicts)).basis, told.reached
        assert basis is not None
        assert reached is not None
        outputs = {name: _stored(folder, f"{job.name} {name}".encode()) for name in job.outputs}
        folder.keep_code(reached.digest, reached.code)
        record = Record(job.name, basis.key, basis, outputs, 0.1, "2026-01-01T00:00:00+00:00")
        records.append(record)
        folder.link(job.name, outputs)
        judge.finished(record)
        verdicts[job.name] = replace(told, up_to_date=True, why=(), record=record)
        count += len(outputs)
    folder.append_lines([it.as_json() for it in records])
    return count


def _stored(folder: PipelineFolder, data: bytes) -> str:
    """As the folder keeps it, without waiting for the disk."""
    name = hashlib.sha256(data).hexdigest()
    folder.object(name).parent.mkdir(parents=True, exist_ok=True)
    folder.object(name).write_bytes(data)
    return name


def _threshold(folder: Path, known: Bars, scene: Scene, root: Path) -> list[Figure]:
    sizes = {"look_back": 59, "check": 60, "trials": scene.trials}
    _written(folder, known, ["BTCUSDT"], scene.days, ["xgboost"], scene.trees, **sizes)
    whole = _backtest(folder, root, "pipeline", "p.toml", "--workers", "1", "--json")
    walls, cpus, kinds = [], [], set()
    for edge in range(scene.rounds):
        text = (folder / "p.toml").read_text()
        (folder / "p.toml").write_text(text.replace("enter_edge = 0.01", f"enter_edge = 0.01{edge + 1}"))
        done = _backtest(folder, root, "pipeline", "p.toml", "--workers", "1", "--json")
        (folder / "p.toml").write_text(text)
        walls.append(done.wall_s)
        cpus.append(done.cpu_s)
        kinds |= {it.split("/")[0] for it in json.loads(done.said)["ran"]}
    told = json.loads((folder / "out" / "manifests" / "1.json").read_text())
    searched = sum(it["seconds"] for it in told["stages"] if it["stage"].startswith("tune/"))
    alone = median(walls) / (whole.wall_s - searched) * 100
    said = (
        f"the full run {whole.wall_s:.1f} s (processor {whole.cpu_s:.1f}), then {median(walls):.2f} s ({median(cpus):.2f}); the "
        f"search of {scene.trials} trials took {searched:.1f} s of it, of the rest it is {alone:.1f} %"
    )
    return [
        Figure("kinds of stages that a threshold runs", len(kinds), "exactly", 2, is_result=True),
        Figure(
            "a changed threshold, of the full run",
            median(walls) / whole.wall_s * 100,
            "at most",
            10,
            "%",
            said,
        ),
    ]


def _workers(folder: Path, known: Bars, scene: Scene, root: Path) -> list[Figure]:
    symbols = [f"B{i}USDT" for i in range(scene.book)]
    hashes: list[set[str]] = []
    _written(folder, known, symbols, scene.book_days, ["xgboost"], scene.trees, look_back=59, check=30)

    def run_of(workers: int) -> float:
        shutil.rmtree(folder / "out", ignore_errors=True)
        words = ("pipeline", "p.toml", "--workers", str(workers), "--json")
        wall_s = _backtest(folder, root, *words).wall_s
        hashes.append({it.name for it in (folder / "out/objects").rglob("*") if it.is_file()})
        return wall_s

    pairs = [(run_of(1), run_of(2)) for _ in range(scene.pairs)]
    return [
        Figure(
            "outputs that not all runs of the book have",
            len(hashes[0].union(*hashes) - hashes[0].intersection(*hashes)),
            "exactly",
            0,
            is_result=True,
        ),
        Figure(
            f"two workers on a book of {scene.book}, of one",
            median([one / two for one, two in pairs]),
            "at least",
            1.7,
            "x",
            f"the median of pairs: {', '.join(f'{one:.1f} s beside {two:.1f}' for one, two in pairs)}",
        ),
    ]


def _written(
    folder: Path,
    known: Bars,
    symbols: list[str],
    days: int,
    families: list[str],
    trees: int,
    look_back: int,
    check: int,
    trials: int = 0,
) -> None:
    """The pipeline's folder: each symbol has other hours of the same market."""
    (folder / "data").mkdir(parents=True)
    start = parse_hour("2020-01-01")
    stop = start + days * DAY_MS
    for i, symbol in enumerate(symbols):
        before = 300 if trials else look_back + 60  # days: a search tries look-backs of half a year
        first = known.row(start - before * DAY_MS)
        part = known.rows(first, known.row(stop) + 1)
        # Other prices, so that no two symbols share an output.
        scaled = {name: getattr(part, name) * (1 + i) for name in ("open", "high", "low", "close")}
        moved = replace(part, symbol=symbol, **scaled)
        write_bars(folder / "data" / f"{symbol}-1h.parquet", moved)
    text = FILE.format(
        symbols=json.dumps(symbols),
        families=json.dumps(families),
        start=iso(start),
        stop=iso(stop),
        look_back=look_back,
        trees=trees,
        check=check,
        trials=trials,
    )
    (folder / "p.toml").write_text(text)


def _backtest(folder: Path, root: Path, *words: str) -> Process:
    """With its bytecode kept, as an installed package has it."""
    return process(backtest(*words), {"PYTHONPYCACHEPREFIX": str(root / "bytecode")}, folder)
