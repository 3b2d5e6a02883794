"""Tasks for the executors' contract: what they do is seen in the file system, since their worker may be anywhere."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from backtest.executors.protocol import Array, Arrays, TaskSettings, task_function
from trader.core.errors import DataError

PATIENCE_S = 200
# What this worker was ever handed. Held, so that another copy lies at another address.
_HANDED: list[Array] = []


@task_function
def product(arrays: Arrays, settings: TaskSettings) -> bytes:
    """Of a shared and an own array and a number."""
    result: bytes = (arrays["shared"] @ arrays["own"] * settings["factor"]).tobytes()
    return result


@task_function
def handed(arrays: Arrays, settings: TaskSettings) -> bytes:
    """Which process this is, how many copies of the shared array it was handed so far, and whether it may write it."""
    array = arrays["shared"]
    if all(array is not it for it in _HANDED):
        _HANDED.append(array)
    time.sleep(settings["seconds"])
    addresses = {it.__array_interface__["data"][0] for it in _HANDED if len(it) == len(array)}
    return _json([os.getpid(), len(addresses), array.flags.writeable])


@task_function
def drawing(arrays: Arrays, settings: TaskSettings) -> bytes:
    """Which of these libraries can be imported here."""
    return _json([name for name in settings["names"] if sys.modules.get(name, "") is not None])


@task_function
def refuse(arrays: Arrays, settings: TaskSettings) -> bytes:
    """What is wrong with the data."""
    raise DataError(settings["message"])


@task_function
def fail(arrays: Arrays, settings: TaskSettings) -> bytes:
    """A bug."""
    return _json(settings["no such key"])


@task_function
def killed(arrays: Arrays, settings: TaskSettings) -> bytes:
    """Ended by SIGKILL in the middle, so many times; each leaves a file."""
    folder = Path(settings["folder"])
    before = len(list(folder.iterdir()))
    (folder / str(before)).touch()
    if before < settings["times"]:
        os.kill(os.getpid(), signal.SIGKILL)
    return product(arrays, settings)


@task_function
def wait(arrays: Arrays, settings: TaskSettings) -> bytes:
    """Say that it was begun, by a file with the process's number, and end when another file is there."""
    folder = Path(settings["folder"])
    (folder / settings["name"]).write_text(str(os.getpid()))
    stop = time.monotonic() + PATIENCE_S
    while not (folder / "go").exists():
        if time.monotonic() > stop:
            raise TimeoutError(settings["name"])
        time.sleep(0.01)
    return _json(settings["name"])


@task_function
def fill(arrays: Arrays, settings: TaskSettings) -> bytes:
    """Take so many bytes of memory, and hold them until whoever counts them has."""
    held = b"1" * settings["bytes"]
    time.sleep(settings["seconds"])
    return _json(len(held))


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


def numbers(seed: int, *shape: int) -> Array:
    """Of a normal distribution, float64."""
    return np.random.default_rng(seed).normal(size=shape)
