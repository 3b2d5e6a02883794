"""The same application as replicas of Ray Serve, which come and go with the load (extra `ray-serve`).

    serve run trader.serving.on_ray:application replicas_min=1 replicas_max=4

Ray is imported when it is asked for. A replica that is taken away answers what it was given first: Ray waits for it.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from trader.adapters.book_file import BookFile, read_book
from trader.adapters.talib_features import register_shipped
from trader.config import Settings, load_settings
from trader.core.errors import ConfigError
from trader.core.text import how_to_install
from trader.serving.bodies import faults_of
from trader.serving.bounds import Bounds
from trader.serving.gate import Gate
from trader.serving.metrics import ServeMetrics
from trader.serving.model import require_runtime
from trader.serving.schemas import Runtime
from trader.serving.service import Service
from trader.serving.sources import open_sources

NAME = "trader-serve"
# A replica answers so many requests at once before Ray gives more to another one, or starts one.
TARGET_IN_FLIGHT = 8


class Replicas(BaseModel):
    """What `serve run` is told: replicas_min and replicas_max, which replicas there are by load; model and runtime as those of
    `trader serve`; downscale_delay_s: how long the load must be low before a replica is taken away."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    replicas_min: int = Field(1, ge=1, le=1_000)
    replicas_max: int = Field(4, ge=1, le=1_000)
    model: str = "champion"
    runtime: Runtime = "native"
    downscale_delay_s: float = Field(60.0, gt=0, le=3600)


def application(given: dict[str, str]) -> Any:
    """The application of `serve run`: by this environment's settings, which every replica is sent. Raises ConfigError without a
    token, for a replica listens where others call it; and for words that are none of `Replicas`."""
    try:
        asked = Replicas(**given)  # type: ignore[arg-type]  # texts, which pydantic reads
    except ValidationError as error:
        raise ConfigError(f"serve run {NAME}: {faults_of(error)}") from None
    if asked.replicas_max < asked.replicas_min:
        raise ConfigError(f"replicas_max {asked.replicas_max} is below replicas_min {asked.replicas_min}")
    require_runtime(asked.runtime)
    settings = load_settings()
    if not settings.serve_token.get_secret_value().strip():
        raise ConfigError(
            "on Ray Serve TRADER_SERVE_TOKEN must be set (such as: openssl rand -hex 32): every machine of the cluster can call "
            "a replica"
        )
    serve = _ray_serve()
    # Folders are those of whoever starts it; a replica's own folder is another one.
    here = settings.model_copy(update={"bars": settings.bars.absolute(), "store": _absolute(settings)})

    def build() -> Gate:
        return replica(here, asked)

    deployment = serve.deployment(
        serve.ingress(build)(),
        name=NAME,
        ray_actor_options={"num_cpus": 0.1},
        max_ongoing_requests=4 * TARGET_IN_FLIGHT,
        graceful_shutdown_wait_loop_s=0.5,
        graceful_shutdown_timeout_s=30,
        autoscaling_config={
            "min_replicas": asked.replicas_min,
            "max_replicas": asked.replicas_max,
            "target_ongoing_requests": TARGET_IN_FLIGHT,
            "downscale_delay_s": asked.downscale_delay_s,
            "upscale_delay_s": 2.0,
        },
    )
    return deployment.bind()


def _ray_serve() -> Any:
    try:
        from ray import serve
    except ImportError:
        raise ConfigError(f"Ray Serve is not installed: {how_to_install('ray-serve')}") from None
    return serve


def _absolute(settings: Settings) -> str:
    return settings.store if settings.bucket else os.path.abspath(settings.store)  # noqa: PTH100 - it is a text


def replica(settings: Settings, asked: Replicas) -> Gate:
    """One replica's whole application: its own models and bars, by the very code of `trader serve`."""
    from trader.serving.server import gated

    register_shipped()
    whole, book = _traded(settings)
    kept = ExitStack()  # as long as the replica lives
    sources = kept.enter_context(open_sources(whole, book))
    bounds = Bounds() if settings.bucket is None else Bounds(refresh_s=30.0)
    service = Service(sources, asked.model, asked.runtime, ServeMetrics(), _say, bounds)
    return gated(service, settings.serve_token.get_secret_value().strip(), None, None, kept.close)


def _traded(settings: Settings) -> tuple[Settings, BookFile | None]:
    """The settings of one symbol, or a book's."""
    if settings.book is None:
        return settings, None
    book = read_book(settings.book)
    if not book.is_one:
        return settings, book
    return settings.model_copy(update={"symbol": book.params.symbols[0], "book": None}), None


def _say(text: str, level: str = "info", **_: Any) -> None:
    """Ray keeps what its replicas log."""
    import logging

    logging.getLogger("ray.serve").log(logging.getLevelName(level.upper()), text)
