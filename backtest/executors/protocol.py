"""What an executor is given and what it promises (docs/executors.md).

A task is a pure function of arrays and plain settings; its result is bytes. So it does not matter who computes it, when,
or how often: every executor, and any number of workers, gives equal bytes.
"""

from __future__ import annotations

import hashlib
import importlib
import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from backtest.executors.program import program_hash
from trader.core.errors import DataError, Retry

Array = npt.NDArray[Any]
Arrays = Mapping[str, Array]
TaskSettings = Mapping[str, Any]
TaskFunction = Callable[[Arrays, TaskSettings], bytes]
# Where the local executor computes a task. thread: the function spends its time in a library that lets go of the
# interpreter's lock. process: it needs an interpreter of its own. caller: it costs less than a process takes to start,
# so it is computed by the caller while there is none. Other executors compute `caller` tasks as they like.
Placement = Literal["thread", "process", "caller"]

_MARK = "__is_task_function__"


class WorkerLost(Retry):
    """The worker that computed a task is no more: killed, out of memory, its machine gone. The task was not at fault."""


class TaskFailed(RuntimeError):
    """A bug in a task's function, in another process; the message holds its traceback."""


def task_function(function: TaskFunction) -> TaskFunction:
    """Marks a module's function as one that tasks may name. Only marked ones are computed, so that who can write to a
    folder of tasks cannot name any other function of this installation."""
    setattr(function, _MARK, True)
    return function


def reference_of(thing: Callable[..., Any]) -> str:
    """`module:name` of a module's function or class. Raises TypeError for one that no other process could find."""
    name = thing.__qualname__
    if "<" in name:
        raise TypeError(f"{name} is local to a function: a task needs what a module holds by its name")
    return f"{thing.__module__}:{name}"


def resolved(reference: str) -> Any:
    """What `reference_of` named. Raises DataError where this installation does not hold it."""
    module, _, name = reference.partition(":")
    try:
        thing = importlib.import_module(module)
        for part in name.split("."):
            thing = getattr(thing, part)
    except (ImportError, AttributeError, ValueError) as error:
        raise DataError(f"a task names {reference!r}, which is not installed here ({error})") from None
    return thing


def function_of(reference: str) -> TaskFunction:
    """A marked function by its name. Raises DataError where it is not installed, or not marked."""
    function: TaskFunction = resolved(reference)
    if not getattr(function, _MARK, False):
        raise DataError(f"a task names {reference!r}, which is no task function")
    return function


class SharedArrays:
    """Arrays that many tasks read, and none may change. An executor hands them to each worker once."""

    def __init__(self, arrays: Arrays) -> None:
        self.arrays: Arrays = MappingProxyType({name: _read_only(array) for name, array in arrays.items()})

    @cached_property
    def name(self) -> str:
        """The hash of what they hold."""
        digest = hashlib.sha256()
        _add(digest, self.arrays)
        return digest.hexdigest()


NOTHING_SHARED = SharedArrays({})


@dataclass(frozen=True, eq=False)
class Task:
    """`function(shared and own arrays by name, settings)`. Settings are what JSON can say.

    `known_key` is the hash of all that the result depends on, where whoever makes the task knows a better one than that
    of everything it is given. `label` names the task for a person.
    """

    function: TaskFunction
    settings: TaskSettings
    shared: SharedArrays = NOTHING_SHARED
    arrays: Arrays = field(default_factory=dict)
    placement: Placement = "process"
    known_key: str = ""
    label: str = ""

    def __post_init__(self) -> None:
        if not getattr(self.function, _MARK, False):
            raise TypeError(f"{reference_of(self.function)} is not marked with @task_function")

    @cached_property
    def key(self) -> str:
        """Equal keys have equal results, on any machine."""
        return self.known_key or self._key_of_content()

    def result(self) -> bytes:
        """Compute it here and now."""
        return self.function({**self.shared.arrays, **self.arrays}, self.settings)

    def _key_of_content(self) -> str:
        what = [program_hash(), reference_of(self.function), self.shared.name, dict(self.settings)]
        digest = hashlib.sha256(json.dumps(what, sort_keys=True).encode())
        _add(digest, self.arrays)
        return digest.hexdigest()

    def __str__(self) -> str:
        return f"task {self.key[:16]}" + (f" ({self.label})" if self.label else "")


class Executor(Protocol):
    """Computes tasks, somewhere. `submit` may be called from any thread, in any order."""

    @property
    def capacity(self) -> int:
        """How many tasks it computes at the same time; more may be waiting."""

    def submit(self, task: Task) -> Future[bytes]:
        """The task's result, sooner or later. The future raises what the function raised, and WorkerLost where nobody
        knows what it would have. A future that is cancelled before its task was begun costs nothing."""

    def close(self) -> None:
        """Forget what was not begun, let what was begun end, and end the workers. Safe to repeat."""


@runtime_checkable
class Expecting(Protocol):
    """An executor whose workers begin sooner where they are expected."""

    def expect(self, modules: Sequence[str]) -> None:
        """Tasks will be given soon, which need these modules: what workers have to import is imported from now on."""


def _read_only(array: Array) -> Array:
    view = array.view()
    view.flags.writeable = False
    return view


def _add(digest: Any, arrays: Arrays) -> None:
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(repr((name, array.shape, array.dtype.str)).encode())
        digest.update(np.ascontiguousarray(array).data)
