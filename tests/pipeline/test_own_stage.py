"""A person's own stages: a Python file, and a notebook."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

from tests.pipeline.kit import Kitchen

MINE = """
import json
from pathlib import Path
import helper

told = json.load(open("backtest/BTCUSDT/naive/summary.json"))
extra = open("notes.txt").read()
with open("answer.txt", "w") as out:
    out.write(f"{helper.words(told['orders'])} {extra}")
"""
HELPER = "def words(n):\n    return f'{n} orders'\n\n\ndef unused():\n    return 1\n"
STAGE = """
[stage.mine]
run = "mine.py"
inputs = ["backtest/*/*/summary.json", "notes.txt"]
outputs = ["answer.txt"]
"""


def with_stage(kitchen: Kitchen, stage: str = STAGE) -> None:
    """A stage of a person's own that reads a result and a file."""
    kitchen.write(stage)
    (kitchen.folder / "mine.py").write_text(MINE)
    (kitchen.folder / "helper.py").write_text(HELPER)
    (kitchen.folder / "notes.txt").write_text("read by hand")


def test_it_runs_on_what_it_declares(finished: Kitchen) -> None:
    """After what it reads, in a folder of its own; its output lies beside all others, and a repeat runs nothing."""
    with_stage(finished)
    finished.edit("enter_edge = 0.001", "enter_edge = 0.002")
    ran = finished.run()
    assert ran.index("mine") > ran.index("backtest/BTCUSDT/naive")
    orders = json.loads(finished.outputs()["backtest/BTCUSDT/naive/summary.json"])["orders"]
    assert finished.outputs()["mine/answer.txt"].decode() == f"{orders} orders read by hand"
    assert finished.run() == []
    assert not any((finished.out / "work").iterdir())


def test_what_changed_is_named_and_runs_it_alone(finished: Kitchen) -> None:
    """Its file, a helper beside it that it calls, a file that it reads; no comment, no function that it does not call."""
    with_stage(finished)
    finished.run()
    mine, helper, notes = (finished.folder / it for it in ("mine.py", "helper.py", "notes.txt"))
    mine.write_text("# another comment\n" + MINE.replace("extra", "more"))
    assert "your file changed" in finished.status()["mine"]
    mine.write_text("# another comment\n" + MINE)
    helper.write_text(HELPER.replace("return 1", "return 2"))
    assert finished.status() == {}
    helper.write_text(HELPER.replace("orders'", "trades'"))
    assert finished.status() == {"mine": "code: words of helper changed"}
    assert finished.run() == ["mine"]
    notes.write_text("other words")
    assert finished.status()["mine"].endswith("notes.txt changed")
    assert finished.run() == ["mine"]
    mine.rename(finished.folder / "other.py")
    finished.edit("mine.py", "other.py")
    assert finished.status() == {}


def test_what_it_may_not_do_is_said(finished: Kitchen) -> None:
    """It fails, or does not make what it declares; other stages stay, and its last lines are shown."""
    with_stage(finished)
    (finished.folder / "mine.py").write_text("print('so far')\nraise ValueError('no\\nmore')\n")
    code, err = finished.fails()
    assert code == 2
    assert err.splitlines()[-1].startswith(
        "DataError: stage mine failed: mine.py ended with 1: ValueError: no. Kept: 7 stages"
    )
    assert "mine: so far\nmine: Traceback" in err
    assert "\\n" not in err.splitlines()[-1]
    (finished.folder / "mine.py").write_text("print('nothing')\n")
    assert "did not make answer.txt, which [stage.mine] outputs declares" in finished.fails()[1]
    (finished.folder / "mine.py").unlink()
    assert "mine.py is not there" in finished.fails()[1]
    assert finished.outputs()["publish/table.csv"]


def test_every_attempt_has_a_folder_of_its_own(finished: Kitchen) -> None:
    """A process that outlived a kill of its run would write where nobody reads any more."""
    with_stage(finished)
    places = finished.folder / "places.txt"
    script = f"import os\nopen({str(places)!r}, 'a').write(os.getcwd() + '\\n')\nopen('answer.txt', 'w').write('1')\n"
    stop = finished.folder / "stop"
    (finished.folder / "mine.py").write_text(f"{script}assert not os.path.exists({str(stop)!r})\n")
    stop.touch()
    assert "AssertionError" in finished.fails()[1]
    stop.unlink()
    assert finished.run() == ["mine"]
    first, second = map(Path, places.read_text().splitlines())
    assert first != second
    assert first.parent == second.parent
    assert not first.exists()


def test_names_that_lead_nowhere_are_refused(kitchen: Kitchen) -> None:
    """A pattern that no stage makes, a stage that is none, a path that leads out, a name that is taken."""
    for old, new, said in (
        ("backtest/*/*/summary.json", "backtests/*", "matches no output of a stage"),
        ('outputs = ["answer.txt"]', 'outputs = ["a"]\nafter = ["nobody"]', "after 'nobody' is no stage"),
        ("notes.txt", "../notes.txt", "must be a path below the pipeline's folder"),
        ("notes.txt", "data", "inputs 'data' is a folder; name the files in it"),
        ("[stage.mine]", "[stage.tune]", "must have a name of its own"),
        ('outputs = ["answer.txt"]', 'outputs = ["notes.txt"]', "names 'notes.txt' in inputs and in outputs"),
        ("mine.py", "mine.sh", "must be a Python file or a notebook"),
    ):
        with_stage(kitchen, STAGE.replace(old, new))
        code, err = kitchen.fails()
        assert code == 2
        assert said in err


def test_a_stage_may_wait_for_others(finished: Kitchen) -> None:
    """`after` orders, and changes of what it waits for do not run it."""
    with_stage(finished, '\n[stage.mine]\nrun = "mine.py"\noutputs = ["x"]\nafter = ["publish"]\n')
    (finished.folder / "mine.py").write_text("open('x', 'w').write('1')\n")
    assert finished.run()[-1] == "mine"
    finished.edit("enter_edge = 0.001", "enter_edge = 0.002")
    assert "mine" not in finished.run()


def test_a_notebook_is_executed_or_says_what_it_needs(finished: Kitchen) -> None:
    """By nbclient, where that is installed; its executed form may be an output. Its cells count, not what they printed."""
    with_stage(finished, '\n[stage.look]\nrun = "look.ipynb"\noutputs = ["sum.txt"]\n')
    cell: dict[str, Any] = {
        "cell_type": "code",
        "execution_count": None,
        "id": "a",
        "metadata": {},
        "outputs": [],
    }
    cell["source"] = ["x = 1 + 1\n", "open('sum.txt', 'w').write(str(x))"]
    book = {"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    (finished.folder / "look.ipynb").write_text(json.dumps(book))
    if importlib.util.find_spec("nbclient") is None:
        code, err = finished.fails()
        assert code == 2
        assert (
            "look.ipynb is a notebook, and nbclient is not installed: python -m pip install nbclient" in err
        )
        return
    finished.run()
    assert finished.outputs()["look/sum.txt"] == b"2"
    cell["outputs"] = [{"output_type": "stream", "name": "stdout", "text": ["2"]}]
    (finished.folder / "look.ipynb").write_text(json.dumps(book))
    assert finished.status() == {}
