"""Tasks on their way: keys, packed bytes, and names that are refused."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from backtest.executors.packing import computed as answered
from backtest.executors.packing import opened as result_in
from backtest.executors.packing import packed, packed_task, unpacked
from backtest.executors.program import program
from backtest.executors.protocol import Arrays, SharedArrays, Task, reference_of, task_function
from tests.contracts.executor_contract import (
    SHARED,
    product,
)
from tests.support import executor_tasks as tasks
from trader.core.errors import DataError

ROOT = Path(__file__).resolve().parents[2]


def test_a_key_is_the_hash_of_what_a_task_depends_on() -> None:
    """Equal content, equal key, whatever the objects; another number, array, shared array or function, another key."""
    own = {"own": tasks.numbers(1, 40, 3)}
    task = Task(tasks.product, {"factor": 2}, SHARED, own)
    same = Task(
        tasks.product,
        {"factor": 2},
        SharedArrays({"shared": tasks.numbers(1, 60, 40)}),
        {"own": tasks.numbers(1, 40, 3)},
        placement="thread",
        label="another name",
    )
    assert task.key == same.key
    others = [
        Task(tasks.product, {"factor": 3}, SHARED, own),
        Task(tasks.refuse, {"factor": 2}, SHARED, own),
        Task(tasks.product, {"factor": 2}, SharedArrays({"shared": tasks.numbers(2, 60, 40)}), own),
        Task(tasks.product, {"factor": 2}, SHARED, {"own": own["own"].astype(np.float32)}),
        Task(tasks.product, {"factor": 2}, SHARED, {"own": own["own"].reshape(3, 40)}),
        Task(tasks.product, {"factor": 2}, SHARED, {"other": own["own"]}),
        Task(tasks.product, {"factor": 2}, SHARED, own, known_key="abc"),
    ]
    assert len({task.key, *(it.key for it in others)}) == 1 + len(others)


def test_a_key_holds_the_program() -> None:
    """Sources and versions of what is installed: a worker of another program computes other keys."""
    assert {"python", "sources", "numpy", "xgboost-cpu", "ta-lib"} <= set(program())


@task_function
def echo(arrays: Any, settings: Any) -> bytes:
    """What a task was given."""
    return packed(dict(settings), arrays)


NUMBERS = st.sampled_from([np.float32, np.float64, np.int64, np.bool_, np.uint8])
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.dictionaries(st.text(), PLAIN, max_size=4),
    st.dictionaries(
        st.text(max_size=5),
        NUMBERS.flatmap(lambda kind: arrays_of.arrays(kind, arrays_of.array_shapes(min_dims=0, min_side=0))),
        max_size=4,
    ),
)
def test_what_is_packed_is_what_is_unpacked(head: dict[str, Any], arrays: dict[str, Any]) -> None:
    """Numbers to the bit, shapes and kinds; a task on its way through a worker too."""
    once = packed(head, arrays)
    back, same = unpacked(once)
    assert back == head
    assert {name: (a.dtype, a.shape, a.tobytes()) for name, a in same.items()} == {
        name: (a.dtype, a.shape, a.tobytes()) for name, a in arrays.items()
    }
    task = Task(echo, head, SHARED, arrays)
    assert task.key == Task(echo, back, SHARED, same).key
    answer = answered(packed_task(task), {SHARED.name: {}}.__getitem__)
    assert result_in(answer, task) == once


def test_bytes_from_elsewhere_are_never_unpickled(tmp_path: Path) -> None:
    """A pickle that would write a file, as arrays, as a task and as an answer, is an error and writes none."""

    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "sprung",)

    trap, task = pickle.dumps(Trap()), product(1)
    nothing_shared: dict[str, Arrays] = {}
    with pytest.raises(DataError, match="no packed arrays"):
        unpacked(trap)
    with pytest.raises(DataError, match="no packed arrays"):
        result_in(answered(trap, nothing_shared.__getitem__), task)
    with pytest.raises(DataError, match="cannot be read"):
        result_in(trap, task)
    with pytest.raises(TypeError, match="holds no plain numbers"):
        packed({}, {"x": np.array([Trap()])})
    assert not (tmp_path / "sprung").exists()
    sources = [file.read_text() for file in (ROOT / "backtest" / "executors").glob("*.py")]
    assert not any("import pickle" in text or "cloudpickle" in text for text in sources)


@pytest.mark.parametrize("cut", [0, 7, 8, 40, -1])
def test_bytes_that_were_cut_are_refused(cut: int) -> None:
    """A file that a full disk cut short is no result."""
    whole = packed({"a": 1}, {"x": tasks.numbers(1, 5)})
    with pytest.raises(DataError, match="no packed arrays"):
        unpacked(whole[:cut])
    with pytest.raises(DataError, match="no packed arrays"):
        unpacked(whole + b"\0")


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("os:system", "is no task function"),
        ("tests.support.executor_tasks:numbers", "is no task function"),
        ("nowhere.to.be:found", "which is not installed here"),
        ("tests.support.executor_tasks:nothing", "which is not installed here"),
    ],
)
def test_a_task_names_marked_functions_only(function: str, message: str) -> None:
    """Whoever can write tasks into a folder cannot have any other function called."""
    task = packed({"function": function, "settings": {}, "shared": ""}, {})
    with pytest.raises(DataError, match=message):
        result_in(answered(task, lambda _: {}), product(1))


def test_a_mistake_in_making_a_task_is_found_where_it_is_made() -> None:
    """A function without its mark, and one that no other process could find by its name."""
    with pytest.raises(TypeError, match="not marked with @task_function"):
        Task(tasks.numbers, {})  # type: ignore[arg-type]  # what is shown
    with pytest.raises(TypeError, match="a task needs what a module holds by its name"):
        reference_of(lambda: None)
