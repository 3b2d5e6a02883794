"""Fits that workers of Ray share: `--train-workers` of `trader retrain`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from trader import terminal
from trader.core.errors import ConfigError

if TYPE_CHECKING:
    from backtest.executors.protocol import Task
    from trader.app.bot import Bot
    from trader.core.ports import Forecaster

TrainWorkers = Annotated[
    int,
    typer.Option(
        min=1,
        help="workers of Ray that share the fit of a transformer (tft), at most model.shards; the model does not depend on "
        "it; 1: this process, without Ray",
    ),
]
RayAddress = Annotated[
    str | None,
    typer.Option(
        help="HOST:PORT or ray://HOST:PORT of the Ray cluster whose workers share it; default: a Ray of this command's own"
    ),
]
RayOpenPorts = Annotated[
    bool,
    typer.Option(
        "--ray-open-ports",
        help="let a Ray of this command's own listen on all addresses, where it cannot have a network of its own",
    ),
]


def sharing(bot: Bot, workers: int, ray_address: str | None, ray_open_ports: bool) -> Bot:
    """The bot with its fits shared by so many workers; Ray is started by a fit, and ends with it. Raises ConfigError for options
    that do not go together."""
    if workers == 1:
        if ray_address or ray_open_ports:
            raise ConfigError("--ray-address and --ray-open-ports are of --train-workers: give it 2 or more")
        return bot

    def trains(task: Task) -> bytes:
        from backtest.executors.ray_training import ray_training

        with ray_training(workers, ray_address, ray_open_ports, terminal.say) as training:
            return training(task)

    def shared(family: str) -> Forecaster:
        from backtest.engine.shared_fit import SharedForecaster

        return SharedForecaster(bot.forecaster_of(family), workers, trains)

    return replace(bot, forecaster_of=shared)
