"""Which stages a change of code makes run: mutations of a copy of this project's sources."""

from __future__ import annotations

import ast
import importlib.metadata
import os
import platform
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest

from backtest.executors.futures import InProcess
from backtest.pipeline import code as code_of
from backtest.pipeline.code import Code
from backtest.pipeline.code_tables import NO_RESULT
from backtest.pipeline.graph import CODE
from backtest.pipeline.job import Job
from backtest.pipeline.kept_answers import source_files
from backtest.pipeline.libraries import Versions
from backtest.pipeline.opened import Pipeline
from backtest.pipeline.run import PipelineRun
from backtest.pipeline.source_module import SourceModule, module_of
from tests.pipeline.kit import Kitchen
from tests.support.bars_made import bars_made
from trader.adapters.files import write_bars
from trader.core.model_params import FAMILIES

ROOT = Path(__file__).resolve().parents[2]
FITS = {f"{kind}/{family}" for kind in ("tune", "train", "check") for family in ("naive", "xgboost")}
XGBOOST = {"tune/xgboost", "predict/xgboost", "train/xgboost", "check/xgboost"}
ALL = {
    *FITS,
    *XGBOOST,
    "predict/naive",
    "backtest/naive",
    "backtest/xgboost",
    "collect",
    "features",
    "publish",
}
ANSWERS = {"train/naive", "train/xgboost", "check/naive", "check/xgboost"}
TRADES = {"tune/naive", "tune/xgboost", "check/naive", "check/xgboost", "backtest/naive", "backtest/xgboost"}


def put(old: str, new: str) -> Callable[[str], str]:
    """Another text in its place, every time it stands there."""
    return lambda text: re.sub(old, lambda _: new, text)


def line_in(name: str) -> Callable[[str], str]:
    """A line more, at the beginning of a function or method."""

    def change(text: str) -> str:
        lines = text.splitlines(keepends=True)
        found = next(it for it in ast.walk(ast.parse(text)) if getattr(it, "name", "") == name)
        assert isinstance(found, ast.FunctionDef)
        at = found.body[1 if ast.get_docstring(found) and len(found.body) > 1 else 0]
        return "".join(
            [*lines[: at.lineno - 1], f"{' ' * at.col_offset}_more = 1\n", *lines[at.lineno - 1 :]]
        )

    return change


def rename_in(function: str, old: str, new: str) -> Callable[[str], str]:
    """A name within a function."""

    def change(text: str) -> str:
        lines = text.splitlines(keepends=True)
        found = next(it for it in ast.walk(ast.parse(text)) if getattr(it, "name", "") == function)
        assert isinstance(found, ast.FunctionDef)
        span = slice(found.lineno - 1, found.end_lineno)
        lines[span] = [re.sub(rf"\b{old}\b", new, line) for line in lines[span]]
        return "".join(lines)

    return change


# What is changed, where and how; and the stages that reach it, of a pipeline with the families naive and xgboost.
MUTATIONS: dict[str, tuple[str, Callable[[str], str], set[str]]] = {
    "a comment": (
        "backtest/engine/simulate.py",
        put("    events: dict", "    # more\n    events: dict"),
        set(),
    ),
    "white space": (
        "backtest/engine/simulate.py",
        put(r"return Run\(track, state\)", "\n\n    return Run(\n        track,\n        state,\n    )"),
        set(),
    ),
    "a docstring": ("backtest/engine/simulate.py", put("What is known at hour i", "Other words"), set()),
    "a local variable's name": ("backtest/engine/simulate.py", rename_in("trade", "ledgers", "books"), set()),
    "a parameter's name": ("backtest/engine/simulate.py", rename_in("_note", "ledgers", "books"), TRADES),
    "a trade": ("backtest/engine/simulate.py", put("i = until", "i = until + 0"), TRADES),
    "a helper in another module": ("trader/core/costs.py", line_in("quote_at"), TRADES),
    "a family": ("trader/forecasters/xgboost.py", line_in("train"), XGBOOST),
    "a helper of a family": ("trader/forecasters/rows.py", line_in("fit"), XGBOOST),
    "a family that nobody named": ("trader/forecasters/arima.py", line_in("fit_series"), set()),
    "what is searched of it": (
        "backtest/study/spaces/xgboost.py",
        put("SPACE = ", "SPACE = None or "),
        {"tune/xgboost"},
    ),
    "what is searched of another": (
        "backtest/study/spaces/arima.py",
        put("SPACE = ", "SPACE = None or "),
        set(),
    ),
    "a feature": (
        "trader/adapters/talib_features.py",
        line_in("_rsi"),
        {"features", "tune/xgboost", "train/xgboost", "check/xgboost", "check/naive"},
    ),
    "a feature of another preset": ("trader/adapters/talib_features.py", line_in("_wide"), set()),
    "a picture of a forecast": (
        "backtest/pipeline/forecast_page.py",
        put("_MEDIAN = 3", "_MEDIAN = 4"),
        {"publish"},
    ),
    "the reader of bars": ("trader/adapters/files.py", line_in("read_bars"), {"collect"}),
    "the certificate": (
        "backtest/certificate/extremes.py",
        put("SEARCHED_HOURS = 48", "SEARCHED_HOURS = 49"),
        {"check/naive", "check/xgboost"},
    ),
    "the bot's path": ("trader/core/prediction.py", line_in("predict"), ANSWERS),
    "the hours ahead": ("trader/core/fan.py", line_in("fan_forecast"), ANSWERS),
    "look-ahead": (
        "backtest/engine/lookahead.py",
        put("BLOCK_HOURS = 1_744", "BLOCK_HOURS = 1_745"),
        {"check/naive", "check/xgboost"},
    ),
    "the search": ("backtest/study/tune.py", line_in("tune"), {"tune/naive", "tune/xgboost"}),
    "what a person is shown": ("trader/terminal.py", put("WIDTH = 80", "WIDTH = 81"), set()),
    "the bot": ("trader/app/tick.py", put("def ", "def more_"), set()),
    "an executor": ("backtest/executors/local.py", line_in("submit"), set()),
    "what all stand on": (
        "trader/core/types.py",
        put("HOUR_MS = 3_600_000", "HOUR_MS = 3_600_001"),
        ALL,
    ),
}


class Sources:
    """A copy of the project's sources, and the stages' code by it."""

    def __init__(self, folder: Path, jobs: list[Job]) -> None:
        self.root, self.jobs, self.kept = folder / "sources", jobs, folder / "code.json"
        for package in ("trader", "backtest"):
            shutil.copytree(ROOT / package, self.root / package, ignore=shutil.ignore_patterns("__pycache__"))

        self.versions = Versions()
        self.before = self.digests()

    def digests(self, kept: Path | None = None) -> dict[str, str]:
        """Of each stage, without its symbol."""
        code = Code(kept, self.root, FAMILIES, self.versions)
        found = {_short(job): code.reached(job.code, job.families).digest for job in self.jobs}
        code.keep()
        return found

    @contextmanager
    def changed(self, file: str, change: Callable[[str], str]) -> Iterator[None]:
        """A file with another text."""
        path = self.root / file
        text = path.read_text()
        new = change(text)
        assert new != text, f"{file} does not hold what is changed"
        path.write_text(new)
        try:
            yield
        finally:
            path.write_text(text)


def _short(job: Job) -> str:
    parts = job.name.split("/")
    return "/".join([parts[0], *parts[2:]])


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Sources:
    """One copy for all mutations."""
    folder = tmp_path_factory.mktemp("code")
    Kitchen(folder).write(families=("naive", "xgboost"))
    return Sources(folder, Pipeline.of(folder / "p.toml").jobs)


def test_a_new_pipeline_knows_what_others_of_this_installation_read(
    sources: Sources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sources of this project, taken apart once; never a person's own file, and nothing of a file that has changed since."""
    own, shared = tmp_path / "own.py", tmp_path / "bytecode" / "code.json"
    own.write_text("import helper_of_mine\n")
    (tmp_path / "helper_of_mine.py").write_text("SECRET = 1\n")
    job = next(it for it in sources.jobs if it.kind == "predict")

    def read(folder: str) -> tuple[list[str], str]:
        """The modules that a new pipeline takes apart, and the code that it finds."""
        taken: list[str] = []

        def noted(name: str, source: bytes, path: Path) -> SourceModule:
            taken.append(name)
            return module_of(name, source, path)

        monkeypatch.setattr(code_of, "module_of", noted)
        code_of._taken_apart.clear()
        code = Code(tmp_path / folder / "code.json", sources.root, FAMILIES, sources.versions, shared)
        digest = code.reached(job.code, job.families).digest
        code.reached((), file=own)
        code.keep()
        return [it for it in taken if it != "helper_of_mine"], digest

    first, digest = read("first")
    assert len(first) > 20
    assert read("second") == ([], digest)
    assert "helper_of_mine.py" in (tmp_path / "first" / "code.json").read_text()
    assert "helper_of_mine.py" not in shared.read_text()
    with sources.changed("backtest/engine/walkforward.py", line_in("fit_and_predict")):
        changed, other = read("third")
        assert changed == ["backtest.engine.walkforward"]
        assert other != digest
    shared.write_text("{")
    shared.with_name("reached-code.json").write_text("[]")
    assert read("fourth")[1] == digest, "a shared file that cannot be read is one that is not there"


def test_a_library_that_is_installed_later_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A name that nothing had is looked for again once anything was installed."""
    place = tmp_path / "libraries"
    place.mkdir()
    monkeypatch.syspath_prepend(str(place))
    before = Versions()
    assert before.of(["helper_of_mine"]) == {"python": platform.python_version()}
    again = Versions()
    again.take(before.kept())
    assert again.known == {"helper_of_mine": ""}
    assert again.of(["helper_of_mine"]) == {"python": platform.python_version()}
    assert not again.asked
    told = place / "helper_of_mine-1.2.dist-info"
    told.mkdir()
    (told / "METADATA").write_text("Metadata-Version: 2.1\nName: helper-of-mine\nVersion: 1.2\n\nText\n")
    (told / "RECORD").write_text("helper_of_mine/__init__.py,,\n")
    later = Versions()
    later.take(before.kept())
    assert later.of(["helper_of_mine"])["helper_of_mine"] == "1.2"


def test_an_import_is_of_the_distribution_that_has_it() -> None:
    """As importlib says it, for every import of this installation that one distribution has."""
    told = importlib.metadata.packages_distributions()
    versions = Versions()
    names = [name for name, owners in told.items() if len({*owners}) == 1 and name.isidentifier()]
    assert len(names) > 50
    wrong = {
        it: versions.distribution(it) for it in names if versions.distribution(it) not in (it, told[it][0])
    }
    assert wrong == {}
    assert versions.distribution("talib") == "TA-Lib"
    assert versions.distribution("no_such_import") == ""


@pytest.mark.parametrize("what", MUTATIONS)
def test_a_change_runs_the_stages_that_reach_it_and_no_other(what: str, sources: Sources) -> None:
    """Comments, white space, docstrings and names of local variables run nothing; a line that a stage reaches runs that stage."""
    file, change, reach_it = MUTATIONS[what]
    with sources.changed(file, change):
        after = sources.digests()
    assert {stage for stage, digest in sources.before.items() if after[stage] != digest} == reach_it


def test_what_was_taken_apart_is_kept(sources: Sources) -> None:
    """A second look reads no source whose file is as it was, and says the same."""
    assert sources.digests(sources.kept) == sources.before
    read: list[str] = []
    patch = pytest.MonkeyPatch()
    patch.setattr(code_of, "module_of", lambda name, *_: read.append(name))
    patch.setattr(code_of, "_taken_apart", {})
    assert sources.digests(sources.kept) == sources.before
    assert read == []
    patch.undo()
    with sources.changed("trader/core/costs.py", line_in("quote_at")):
        after = sources.digests(sources.kept)
    assert {stage for stage, digest in sources.before.items() if after[stage] != digest} == TRADES
    assert sources.digests(sources.kept) == sources.before


def test_a_library_s_version_counts_where_it_is_used(sources: Sources) -> None:
    """Another XGBoost changes the stages of its family, another TA-Lib those that compute features, and status names it."""

    class Other(Versions):
        def version(self, distribution: str) -> str:
            known = super().version(distribution)
            return f"{known}.1" if known and distribution.startswith("xgboost") else known

    jobs = sources.jobs
    here, there = Code(None, ROOT, FAMILIES), Code(None, ROOT, FAMILIES, Other())
    now = {_short(job): here.reached(job.code, job.families).libraries for job in jobs}
    then = {_short(job): there.reached(job.code, job.families).libraries for job in jobs}
    assert {it for it in now if now[it] != then[it]} == XGBOOST


class Trace:
    """The definitions that each stage really runs, by what Python says of every call."""

    def __init__(self) -> None:
        self.seen: dict[str, set[str]] = {}
        self._roots = {reference: kind for kind, reference in CODE.items()}
        self._root: FrameType | None = None
        self._stage, self._importing = "", 0

    def __call__(self, frame: FrameType, event: str, _: Any) -> None:
        code = frame.f_code
        if event == "call":
            self._called(frame, code)
        elif event == "return":
            if code.co_name == "<module>":
                self._importing -= 1
            if frame is self._root:
                self._root, self._stage = None, ""

    def _called(self, frame: FrameType, code: CodeType) -> None:
        module = str(frame.f_globals.get("__name__", ""))
        if code.co_name == "<module>":
            self._importing += 1
            return
        name = f"{module}:{code.co_qualname.split('.')[0]}"
        if self._root is None and name in self._roots:
            self._root, self._stage = frame, self._roots[name]
        if self._root is None or self._importing or code.co_filename.startswith("<") or ":<" in name:
            return  # outside a stage; what Python wrote itself, such as a dataclass's __init__; a constant's lambda
        if module.startswith(("trader.", "backtest.")) and not module.startswith(NO_RESULT):
            self.seen.setdefault(self._stage, set()).add(name)


def ran_and_said(kitchen: Kitchen) -> tuple[dict[str, set[str]], dict[str, set[str]]]:
    """By kind of stage: the definitions that really ran, and those that its key digests."""
    pipeline = Pipeline.of(kitchen.file)
    trace, (judge, _) = Trace(), pipeline.judge()
    kitchen.out.mkdir()
    evidence = kitchen.folder / "evidence"
    threading.setprofile(trace)
    try:
        run = PipelineRun(
            pipeline.jobs, judge, pipeline.folder, InProcess(), evidence, lambda _: None, lambda _: None
        )
        outcome = run.to_the_end()
    finally:
        threading.setprofile(None)
    assert outcome.failed == {}
    said: dict[str, set[str]] = {}
    code = Code(None, ROOT, FAMILIES)
    for job in pipeline.jobs:
        said.setdefault(job.kind, set()).update(code.reached(job.code, job.families).code)
    return trace.seen, said


def test_what_a_search_really_runs_is_what_it_is_said_to_reach(kitchen: Kitchen) -> None:
    """Every function of this project that runs within a stage stands in the code that its key digests; here with a search."""
    write_bars(kitchen.folder / "data" / "BTCUSDT-1h.parquet", bars_made(205 * 24, 1))
    kitchen.write(trials=1)
    kitchen.edit('from = "2021-02-20"\nto = "2021-03-12"', 'from = "2021-07-10"\nto = "2021-07-18"')
    ran, said = ran_and_said(kitchen)
    assert set(ran) == set(CODE) - {"features"}
    assert {kind: seen - said[kind] for kind, seen in ran.items() if seen - said[kind]} == {}
    assert len(ran["tune"]) > 80


@pytest.mark.long
def test_what_a_stage_really_runs_is_what_it_is_said_to_reach(kitchen: Kitchen) -> None:
    """The same of a family of rows, with its stage of features."""
    kitchen.write(families=("naive", "xgboost"))
    ran, said = ran_and_said(kitchen)
    assert set(ran) == set(CODE)
    assert {kind: seen - said[kind] for kind, seen in ran.items() if seen - said[kind]} == {}


def test_a_module_that_is_no_python_is_named(kitchen: Kitchen) -> None:
    """A person's own file that cannot be parsed ends with the file and the line."""
    kitchen.write('\n[stage.mine]\nrun = "mine.py"\noutputs = ["x"]\n')
    (kitchen.folder / "mine.py").write_text("x = 1\ndef broken(:\n")
    code, _, err = kitchen.ask("status p.toml")
    assert code == 2
    assert "mine.py, line 2: is no Python" in err


def test_an_edit_that_keeps_its_length_and_its_time_is_seen(tmp_path: Path) -> None:
    """As a copy that keeps times makes it: the kept answers are of other sources."""
    (tmp_path / "p").mkdir()
    file = tmp_path / "p" / "m.py"
    file.write_text("A = 1\n")
    before, told = source_files(tmp_path, ["p"]), file.stat()
    file.write_text("A = 2\n")
    os.utime(file, ns=(told.st_atime_ns, told.st_mtime_ns))
    assert file.stat().st_mtime_ns == told.st_mtime_ns
    assert source_files(tmp_path, ["p"]) != before
