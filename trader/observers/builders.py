"""How each observer is made. `BUILDERS` and `names.py` are the places to add one; `process.py` tells them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from trader.core.errors import ConfigError
from trader.core.text import how_to_install
from trader.observers.names import missing, names_of

if TYPE_CHECKING:
    from trader.config import Settings
    from trader.core.news import Observer


def require_installed(settings: Settings) -> None:
    """Raises ConfigError for a tracker that was asked for and is not installed, or whose settings are wrong."""
    for name in names_of(settings):
        if name == "redis" and missing(name):
            raise ConfigError(
                f"redis_url asks for signals in Redis, and redis is not installed: {how_to_install('redis')}, or leave "
                "redis_url out"
            )
        if missing(name):
            raise ConfigError(
                f"trackers asks for {name}, and {', '.join(missing(name))} is not installed: "
                f"{how_to_install(name)}, or set TRADER_TRACKERS=none"
            )
        make_observer(settings, name)


def make_observer(settings: Settings, name: str) -> Observer:
    """An observer by its name. Imports no tracker's library yet. Raises ConfigError for wrong settings."""
    return BUILDERS[name](settings)


def _mlflow(settings: Settings) -> Observer:
    from trader.adapters.tracker_mlflow import ENVIRONMENT, MlflowBackend
    from trader.config import export
    from trader.observers.tracker_content import TrackerObserver

    export({**ENVIRONMENT, **_chart_cache(settings)})
    return TrackerObserver(MlflowBackend(settings.tracker_dir, settings.mlflow_uri))


def _neptune(settings: Settings) -> Observer:
    from trader.adapters.tracker_neptune import ENVIRONMENT, NeptuneBackend
    from trader.config import export
    from trader.observers.tracker_content import TrackerObserver

    export({**ENVIRONMENT, **_chart_cache(settings)})
    token = settings.neptune_token.get_secret_value().strip()
    return TrackerObserver(NeptuneBackend(settings.tracker_dir / "neptune", settings.neptune_project, token))


def _chart_cache(settings: Settings) -> dict[str, str]:
    """Where matplotlib remembers the fonts it found: a user without a home would look for them with every order."""
    return {"MPLCONFIGDIR": str(settings.tracker_dir.absolute() / "matplotlib")}


def _notices(settings: Settings) -> Observer:
    from trader.observers.notices import Notifier

    return Notifier(settings.notify.get_secret_value().split(), settings.notify_level)


def _heartbeat(settings: Settings) -> Observer:
    from trader.observers.heartbeat import Heartbeat

    return Heartbeat(settings.heartbeat_url.get_secret_value().strip())


def _redis(settings: Settings) -> Observer:
    from trader.observers.signals_redis import RedisSignals

    url = settings.redis_url.get_secret_value().strip()
    return RedisSignals(url, settings.redis_stream, settings.book is not None)


def _page(settings: Settings) -> Observer:
    from trader.observers.pages import PageObserver

    return PageObserver(settings)


def _copies(settings: Settings) -> Observer:
    from trader import wiring
    from trader.adapters.clocks import WallClock
    from trader.observers.copies import Copies

    collector = wiring.make_collector(settings, wiring.make_market(settings, WallClock()))
    return Copies(wiring.make_store(settings), collector.between)


BUILDERS: dict[str, Callable[[Settings], Observer]] = {
    "notices": _notices,
    "heartbeat": _heartbeat,
    "page": _page,
    "copies": _copies,
    "redis": _redis,
    "mlflow": _mlflow,
    "neptune": _neptune,
}


def note_of(settings: Settings) -> str:
    """What a person should know about the trackers when a service starts; "" where there is nothing to say."""
    if settings.trackers is None and missing("mlflow"):
        return f"no tracker: MLflow is not installed ({how_to_install('mlflow')})"
    if "neptune" in names_of(settings):
        from trader.adapters.tracker_neptune import CLOSED

        return CLOSED
    return ""
