"""A person's own stages: a Python file, and a notebook."""

from __future__ import annotations

import importlib.util
import json
from typing import Any

from tests.pipeline.kit import Kitchen

MINE = """
import json
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


def test_it_runs_on_what_it_declares(kitchen: Kitchen) -> None:
    """After what it reads, in a folder of its own; its output lies beside all others, and a repeat runs nothing."""
    with_stage(kitchen)
    ran = kitchen.run()
    assert ran.index("mine") > ran.index("backtest/BTCUSDT/naive")
    orders = json.loads(kitchen.outputs()["backtest/BTCUSDT/naive/summary.json"])["orders"]
    assert kitchen.outputs()["mine/answer.txt"].decode() == f"{orders} orders read by hand"
    assert kitchen.run() == []
    assert not any((kitchen.out / "work").iterdir())


def test_what_changed_is_named_and_runs_it_alone(kitchen: Kitchen) -> None:
    """Its file, a helper beside it that it calls, a file that it reads; no comment, no function that it does not call."""
    with_stage(kitchen)
    kitchen.run()
    mine, helper, notes = (kitchen.folder / it for it in ("mine.py", "helper.py", "notes.txt"))
    mine.write_text("# another comment\n" + MINE.replace("extra", "more"))
    assert "your file changed" in kitchen.status()["mine"]
    mine.write_text("# another comment\n" + MINE)
    helper.write_text(HELPER.replace("return 1", "return 2"))
    assert kitchen.status() == {}
    helper.write_text(HELPER.replace("orders'", "trades'"))
    assert kitchen.status() == {"mine": "code: words of helper changed"}
    assert kitchen.run() == ["mine"]
    notes.write_text("other words")
    assert kitchen.status()["mine"].endswith("notes.txt changed")
    assert kitchen.run() == ["mine"]
    mine.rename(kitchen.folder / "other.py")
    kitchen.edit("mine.py", "other.py")
    assert kitchen.status() == {}


def test_what_it_may_not_do_is_said(kitchen: Kitchen) -> None:
    """It fails, or does not make what it declares; other stages stay, and its last lines are shown."""
    with_stage(kitchen)
    (kitchen.folder / "mine.py").write_text("print('so far')\nraise ValueError('no more')\n")
    code, err = kitchen.fails()
    assert code == 2
    assert "mine.py ended with 1" in err
    assert "ValueError: no more" in err
    (kitchen.folder / "mine.py").write_text("print('nothing')\n")
    assert "did not make answer.txt, which [stage.mine] outputs declares" in kitchen.fails()[1]
    (kitchen.folder / "mine.py").unlink()
    assert "mine.py is not there" in kitchen.fails()[1]
    assert kitchen.outputs()["publish/table.csv"]


def test_names_that_lead_nowhere_are_refused(kitchen: Kitchen) -> None:
    """A pattern that no stage makes, a stage that is none, a path that leads out, a name that is taken."""
    for old, new, said in (
        ("backtest/*/*/summary.json", "backtests/*", "matches no output of a stage"),
        ('outputs = ["answer.txt"]', 'outputs = ["a"]\nafter = ["nobody"]', "after 'nobody' is no stage"),
        ("notes.txt", "../notes.txt", "must be a path below the pipeline's folder"),
        ("[stage.mine]", "[stage.tune]", "must have a name of its own"),
        ("mine.py", "mine.sh", "must be a Python file or a notebook"),
    ):
        with_stage(kitchen, STAGE.replace(old, new))
        code, err = kitchen.fails()
        assert code == 2
        assert said in err


def test_a_stage_may_wait_for_others(kitchen: Kitchen) -> None:
    """`after` orders, and changes of what it waits for do not run it."""
    with_stage(kitchen, '\n[stage.mine]\nrun = "mine.py"\noutputs = ["x"]\nafter = ["publish"]\n')
    (kitchen.folder / "mine.py").write_text("open('x', 'w').write('1')\n")
    assert kitchen.run()[-1] == "mine"
    kitchen.edit("enter_edge = 0.001", "enter_edge = 0.002")
    assert "mine" not in kitchen.run()


def test_a_notebook_is_executed_or_says_what_it_needs(kitchen: Kitchen) -> None:
    """By nbclient, where that is installed; its executed form may be an output. Its cells count, not what they printed."""
    with_stage(kitchen, '\n[stage.look]\nrun = "look.ipynb"\noutputs = ["sum.txt"]\n')
    cell: dict[str, Any] = {
        "cell_type": "code",
        "execution_count": None,
        "id": "a",
        "metadata": {},
        "outputs": [],
    }
    cell["source"] = ["x = 1 + 1\n", "open('sum.txt', 'w').write(str(x))"]
    book = {"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    (kitchen.folder / "look.ipynb").write_text(json.dumps(book))
    if importlib.util.find_spec("nbclient") is None:
        code, err = kitchen.fails()
        assert code == 2
        assert (
            "look.ipynb is a notebook, and nbclient is not installed: python -m pip install nbclient" in err
        )
        return
    kitchen.run()
    assert kitchen.outputs()["look/sum.txt"] == b"2"
    cell["outputs"] = [{"output_type": "stream", "name": "stdout", "text": ["2"]}]
    (kitchen.folder / "look.ipynb").write_text(json.dumps(book))
    assert kitchen.status() == {}
