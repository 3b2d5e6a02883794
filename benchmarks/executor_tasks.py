"""A task whose time is all that matters."""

from __future__ import annotations

import hashlib

from backtest.executors.protocol import Arrays, TaskSettings, task_function


@task_function
def busy(arrays: Arrays, settings: TaskSettings) -> bytes:
    """So many rounds of a hash that keeps one core busy and the interpreter's lock."""
    digest: bytes = settings["number"].to_bytes(8, "little")
    for _ in range(settings["rounds"]):
        digest = hashlib.sha256(digest).digest()
    return digest


@task_function
def small(arrays: Arrays, settings: TaskSettings) -> bytes:
    """The same under another name, for what is learnt of a task's cost is learnt by its function."""
    return busy(arrays, settings)
