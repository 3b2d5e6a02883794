"""A fit that several workers share, as a task: what they read, and the model that each of them ends with."""

from __future__ import annotations

from collections.abc import Callable

from backtest.engine.history import History
from backtest.executors.protocol import Arrays, SharedArrays, Task, TaskSettings, task_function
from trader.core.errors import ConfigError
from trader.core.panel import Panel
from trader.core.params import Params
from trader.core.ports import Forecaster, Predictor
from trader.core.types import Floats

# Computes a task that workers share, and gives its result.
Trains = Callable[[Task], bytes]


@task_function
def fit_model(arrays: Arrays, settings: TaskSettings) -> bytes:
    """The model's bytes; this process's peers compute their parts (trader/core/peers.py). Raises DataError as `fit`."""
    history = History.of_arrays(arrays, settings)
    panel = Panel.of([*history.panel.bars, *history.others])
    params = Params.model_validate_json(settings["params"])
    hours = {name: settings[name] for name in ("horizon", "until", "seed")}
    return history.forecaster.fit(panel, history.y, params, **hours)


class SharedForecaster:
    """A family whose fits are shared by `workers`; all else is the family's own. Its models have the bytes that one process
    gives them."""

    def __init__(self, own: Forecaster, workers: int, trains: Trains) -> None:
        self._own, self._workers, self._trains = own, workers, trains
        self.family, self.format = own.family, own.format
        self.libraries, self.traits = own.libraries, own.traits

    def fit(self, panel: Panel, y: Floats, params: Params, *, horizon: int, until: int, seed: int) -> bytes:
        """Raises ConfigError for a family, or parameters, whose fit so many workers cannot share."""
        _require_shareable(params, self._workers)
        history = History(self._own, Panel.of(panel.bars[:1]), y, panel.bars[1:])
        settings = {
            **history.settings(),
            "params": params.model_dump_json(),
            "horizon": horizon,
            "until": until,
            "seed": seed,
        }
        label = f"a fit of {self.family} on {', '.join(panel.symbols)}"
        return self._trains(Task(fit_model, settings, SharedArrays(history.arrays()), label=label))

    def load(self, model: bytes, source: str) -> Predictor:
        """As the family does."""
        return self._own.load(model, source)


def _require_shareable(params: Params, workers: int) -> None:
    family = params.model.family
    most: int = getattr(params.model, "shards", 1)
    if most == 1:
        raise ConfigError(
            f"--train-workers {workers}: a fit of {family} is the work of one process, and workers share one of tft alone (with "
            "model.shards of 2 or more). Leave --train-workers out"
        )
    if workers > most:
        raise ConfigError(
            f"--train-workers {workers}: a batch of this fit has {most} shards, for {most} workers at most. Give fewer workers, "
            f'or write "shards": {workers} into model of P.json: another number of shards gives another model'
        )
    device: str = getattr(params.model, "device", "cpu")
    if device != "cpu":
        raise ConfigError(
            f"--train-workers {workers}: workers share a fit on processors, and model.device is {device}. Write "
            "cpu, or leave --train-workers out"
        )
