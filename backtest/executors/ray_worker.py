"""What Ray's workers run: one function, which Ray finds by its name in the package that is installed beside the worker."""

from __future__ import annotations

import json
import signal
import socket
from collections import OrderedDict
from typing import Any

from backtest.executors.packing import computed, unpacked
from backtest.executors.program import program, program_hash
from backtest.executors.protocol import Arrays

# A search within a lifecycle shares other arrays than the one before: what was not used for longest is dropped.
HELD = 4
OTHER_PROGRAM = b"?"
_held: OrderedDict[str, Arrays] = OrderedDict()


def answer(coordinators: str, name: str, reference: list[Any], packed: bytes) -> bytes:
    """A packed task's answer (packing.py), or which program this is where the coordinator's is another one. `name` and
    `reference` are of the shared arrays: Ray's store is asked for them once."""
    # To cancel what is waiting, Ray interrupts what has begun. What has begun shall end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if program_hash() != coordinators:
        return OTHER_PROGRAM + told_program()
    arrays = _shared(name, reference)
    return computed(packed, lambda _: arrays)


def _shared(name: str, reference: list[Any]) -> Arrays:
    if name not in _held:
        import ray

        while len(_held) >= HELD:
            _held.popitem(last=False)
        _, _held[name] = unpacked(memoryview(ray.get(reference[0])))
    _held.move_to_end(name)
    return _held[name]


def told_program() -> bytes:
    """Which program this worker's is, and where it is."""
    import ray

    node = f"{socket.gethostname()} ({ray.util.get_node_ip_address()})"
    return json.dumps({"node": node, "program": program()}).encode()
