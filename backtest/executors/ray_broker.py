"""The process that speaks with Ray, so that the coordinator need not: it may be in a network of its own (own_network.py),
Ray's threads and handlers of signals are its own, and the coordinator hears of all through one pipe.

It ends when that pipe is closed, also by a coordinator's death; a Ray of its own ends with it.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import sys
from concurrent.futures import Future
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from backtest.executors import ray_train, ray_worker
from backtest.executors.ray_messages import Messages, Report

_END_S = 20
# What Ray's processes are not to find. With the first they build a grammar of addresses for five seconds each, to check
# environments that nobody here describes; without the second, Ray's dashboard and its agents are as small as they get.
NOT_FOUND = ("rfc3987_syntax", "opencensus")


def main(handle: int, own_network: bool) -> None:
    """Until the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the coordinator's matter, which ends this in its own time
    os.set_inheritable(handle, False)
    messages = Messages(Connection(handle))
    folder = Path.cwd()
    try:
        messages.send("hello", own_network=own_network)
        how, _ = messages.receive()
        _serve(messages, how, folder, own_network)
    except (EOFError, OSError):  # the coordinator is no more
        pass
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _serve(messages: Messages, how: dict[str, Any], folder: Path, own_network: bool) -> None:
    address = how["address"]
    _settle_environment(folder, own=not address, private=own_network)
    import ray

    try:
        if address:
            context = ray.init(address, log_to_driver=False, configure_logging=False)
        else:
            context = _own_ray(folder, how["workers"], how["store_bytes"])
    except Exception as error:  # Ray has no type for what goes wrong here
        messages.send(*_why_not(error))
        return
    cpus = max(1, int(ray.cluster_resources().get("CPU", 0)))
    ports = [] if own_network or address else _listening()
    messages.send("ready", cpus=cpus, dashboard=context.dashboard_url or "", ports=ports)
    try:
        _Tasks(messages, folder).serve(how["program"])
    finally:
        _end(own=not address)


def _settle_environment(folder: Path, own: bool, private: bool) -> None:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    if not own:
        sys.modules[NOT_FOUND[0]] = None  # type: ignore[assignment]  # how Python is told that a module is not there
        return
    os.environ.pop("RAY_ADDRESS", None)
    os.environ["RAY_worker_niceness"] = "0"  # as the workers of --executor local  # noqa: SIM112  # Ray's own name
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"  # where its node is
    # Of Ray Train: no process that waits for a cloud's word that a machine will go, no metrics that nobody reads.
    os.environ |= {"RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0", "RAY_TRAIN_METRICS_ENABLED": "0"}
    os.environ["RAY_LOG_TO_STDERR"] = "1"  # a file of this command's, so that no process need watch files
    if private:  # nobody else is in this network
        os.environ["RAY_AUTH_MODE"] = "disabled"
    else:  # not in a file of the user's home
        os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    stubs = folder / "stubs"
    stubs.mkdir()
    for name in NOT_FOUND:
        (stubs / f"{name}.py").write_text("raise ModuleNotFoundError('not needed here')\n")
    # Ray's processes are this program's: they find what this one finds.
    os.environ["PYTHONPATH"] = os.pathsep.join([str(stubs), *filter(None, sys.path)])
    sys.path.insert(0, str(stubs))


def _own_ray(folder: Path, workers: int, store_bytes: int) -> Any:
    import ray

    return ray.init(
        "local",
        num_cpus=workers,
        num_gpus=0,
        object_store_memory=store_bytes,
        include_dashboard=False,
        log_to_driver=False,
        configure_logging=False,
        _temp_dir=str(folder),
        _node_ip_address="127.0.0.1",
    )


def _why_not(error: Exception) -> tuple[Report, bytes]:
    text = " ".join(str(error).split())
    if "timed out during startup" in text:
        return "slow", text.encode()
    if "Version mismatch" in text:
        return "refused", f"the cluster runs another Ray or Python. {text}".encode()
    if "node" in text and "find" in text:
        return (
            "refused",
            f"this machine is no node of the cluster. From outside: ray://HOST:10001. {text}".encode(),
        )
    return "retry", f"{type(error).__name__}: {text}".encode()


def _children() -> list[Any]:
    import psutil  # Ray's own copy: it is there after `import ray`

    return list(psutil.Process().children(recursive=True))


def _listening() -> list[str]:
    sockets: set[str] = set()
    for process in _children():
        for it in process.net_connections("inet"):
            if it.status == "LISTEN" and not it.laddr.ip.startswith(("127.", "::ffff:127.", "::1")):
                sockets.add(f"{it.laddr.ip}:{it.laddr.port}")
    return sorted(sockets)


def _end(own: bool) -> None:
    import psutil
    import ray

    processes = _children() if own else []
    ray.shutdown()
    _, alive = psutil.wait_procs(processes, _END_S)
    _end_all(alive)


def _end_all(processes: list[Any]) -> None:
    import psutil

    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(processes, _END_S)


class _Tasks:
    """What Ray was given, and what it holds for it."""

    def __init__(self, messages: Messages, folder: Path) -> None:
        import ray

        self._messages, self._folder = messages, folder
        self._shared: dict[str, Any] = {}
        self._given: dict[int, Any] = {}
        # Whether a lost task is given again is the coordinator's to decide; nodes are used evenly.
        self._answer = ray.remote(max_retries=0, num_cpus=1, scheduling_strategy="SPREAD")(ray_worker.answer)

    def serve(self, program: str) -> None:
        """Until the pipe is closed, or Ray is no more."""
        import ray

        while True:
            head, body = self._messages.receive()
            try:
                if head["kind"] == "keep":
                    self._shared[head["name"]] = ray.put(np.frombuffer(body, np.uint8))
                elif head["kind"] == "drop":
                    del self._shared[head["name"]]
                elif head["kind"] == "task":
                    name = head["name"]
                    self._watch(
                        head["number"], self._answer.remote(program, name, [self._shared[name]], body)
                    )
                elif head["kind"] == "train":
                    ray_train.begin(self._messages, program, head["workers"], body, self._folder)
                elif head["kind"] == "cancel":
                    for it in list(self._given.values()):
                        ray.cancel(it, force=False)
            except (ray.exceptions.RayError, ConnectionError, RuntimeError) as error:
                self._messages.send("ended", f"{type(error).__name__}: {error}".encode())
                return

    def _watch(self, number: int, reference: Any) -> None:
        self._given[number] = reference
        reference.future().add_done_callback(partial(self._report, number))

    def _report(self, number: int, done: Future[bytes]) -> None:
        del self._given[number]
        error = done.exception()
        if error is None:
            self._messages.send("answer", done.result(), number=number)
        else:
            kind, message = _fate(error)
            self._messages.send(kind, message, number=number)


def _fate(error: BaseException) -> tuple[Report, bytes]:
    """What a task came to that has no answer. Whatever its function raises is an answer, so that anything else is of Ray, or
    means that Ray's worker could not find the function."""
    from ray.exceptions import RayError, RayTaskError, TaskCancelledError

    cause = getattr(error, "cause", error)
    if isinstance(error, TaskCancelledError) or isinstance(cause, TaskCancelledError):
        return "cancelled", b""
    if isinstance(error, RayTaskError) and not isinstance(cause, RayError):
        return "refused", " ".join(str(cause).split()).encode()
    said = str(cause).strip().splitlines() or [""]
    return "lost", f"its worker of Ray was lost ({type(cause).__name__}: {said[0].rstrip('.')})".encode()
