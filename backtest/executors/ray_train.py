"""A training that workers share, by Ray Train, within the process that speaks with Ray (ray_broker.py)."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from backtest.executors import ray_train_worker
from backtest.executors.packing import unpacked
from backtest.executors.ray_messages import Messages

# So often workers may be lost, by Ray's count, before the training is given up.
LOST_AT_MOST = 3
_LOOKS_EVERY_S = 0.1


def begin(messages: Messages, program: str, workers: int, body: bytes, folder: Path) -> None:
    """In a thread that ends with this process, which meanwhile hears when it is to end."""
    thread = threading.Thread(target=_train, args=(messages, program, workers, body, folder), daemon=True)
    thread.start()


def _train(messages: Messages, program: str, workers: int, body: bytes, folder: Path) -> None:
    _, given = unpacked(body)
    keeper = _keeper(*(given[name].tobytes() for name in ("shared", "task", "state")))
    ended = _Ended()
    threading.Thread(target=ended.of, args=(_trainer(keeper, program, workers, folder),), daemon=True).start()
    heard, begun = 0, 1
    try:
        while True:
            over = ended.event.wait(_LOOKS_EVERY_S)
            heard, begun, refused = _tell(messages, keeper, heard, begun)
            if refused:
                return
            if over:
                break
        if ended.error is None:
            messages.send("answer", ended.answer)
        else:
            messages.send("lost", _why(ended.error).encode())
    except OSError:  # nobody listens any more
        return


def _tell(messages: Messages, keeper: Any, heard: int, begun: int) -> tuple[int, int, bool]:
    """Epochs that were learnt since, and that workers were lost; last, whether one had another program."""
    import ray

    groups, other, epochs, state = ray.get(keeper.news.remote(heard))
    if other:
        messages.send("refused", other)
        return heard, begun, True
    for epoch in epochs:
        messages.send("epoch", state if epoch is epochs[-1] else b"", **epoch)
    if groups > begun:
        messages.send("again", after=heard + len(epochs))
    return heard + len(epochs), max(groups, begun), False


def _keeper(shared: bytes, task: bytes, state: bytes) -> Any:
    """On this process's own node: it shall not be lost with a worker's."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    actor = ray.remote(num_cpus=0, scheduling_strategy=here)(ray_train_worker.Keeper)
    return actor.remote(shared, task, state)


def _trainer(keeper: Any, program: str, workers: int, folder: Path) -> Any:
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchConfig, TorchTrainer

    return TorchTrainer(
        ray_train_worker.part,
        train_loop_config={"program": program, "keeper": keeper},
        torch_config=TorchConfig(backend="gloo"),
        scaling_config=ScalingConfig(num_workers=workers),
        run_config=RunConfig(
            name="fit", storage_path=str(folder), failure_config=FailureConfig(max_failures=LOST_AT_MOST)
        ),
    )


class _Ended:
    """What a trainer came to, once `event` is set."""

    def __init__(self) -> None:
        self.event = threading.Event()
        self.answer, self.error = b"", None  # type: bytes, Exception | None

    def of(self, trainer: Any) -> None:
        """Wait for it."""
        try:
            self.answer = trainer.fit().return_value
        except Exception as error:  # Ray has no type for all that may go wrong here
            self.error = error
        finally:
            self.event.set()


def _why(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:400]}"
