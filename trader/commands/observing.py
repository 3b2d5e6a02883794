"""Which observers the settings name, and how they are told: in a process of their own, after the record, for a limited
time, whatever becomes of them. The list below is the place to add one."""

from __future__ import annotations

import contextlib
import fcntl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING

from trader import terminal
from trader.app.observers import behind
from trader.core.errors import ConfigError, TraderError

if TYPE_CHECKING:
    from trader.app.journal import Journal
    from trader.config import Settings
    from trader.core.news import Observer

# What a tracker imports; an installation without it has no such tracker.
NEEDS = {
    "notices": ("apprise",),
    "heartbeat": (),
    "page": ("jinja2", "plotly"),
    "copies": (),
    "mlflow": ("mlflow", "sqlalchemy", "alembic", "matplotlib"),
    "neptune": ("neptune", "matplotlib"),
}
# How long a service that is stopped lets its observers finish.
LAST_WORDS_S = 5.0


def names_of(settings: Settings) -> tuple[str, ...]:
    """The observers of these settings, the quick ones first: a slow tracker must not keep a notice waiting."""
    wanted = {
        "notices": settings.notify.get_secret_value().strip(),
        "heartbeat": settings.heartbeat_url.get_secret_value().strip(),
        "page": settings.page_dir,
        "copies": settings.copies,
    }
    return (*(name for name, setting in wanted.items() if setting), *trackers_of(settings))


def trackers_of(settings: Settings) -> tuple[str, ...]:
    """The trackers that were asked for, else MLflow where it is installed."""
    if settings.trackers is None:
        return () if missing("mlflow") else ("mlflow",)
    return () if settings.trackers == "none" else tuple(dict.fromkeys(settings.trackers.split(",")))


def missing(name: str) -> list[str]:
    """Packages that a tracker needs and that are not installed. Imports nothing."""
    return [package for package in NEEDS.get(name, ()) if find_spec(package) is None]


def require_installed(settings: Settings) -> None:
    """Raises ConfigError for a tracker that was asked for and is not installed, or whose settings are wrong."""
    for name in names_of(settings):
        if missing(name):
            raise ConfigError(
                f"trackers asks for {name}, and {', '.join(missing(name))} is not installed: "
                f"python -m pip install 'hourly-trader[{name}]', or set TRADER_TRACKERS=none"
            )
        make_observer(settings, name)


def make_observer(settings: Settings, name: str) -> Observer:
    """An observer by its name. Imports no tracker's library yet. Raises ConfigError for wrong settings."""
    return BUILDERS[name](settings)


def _mlflow(settings: Settings) -> Observer:
    from trader.adapters.tracker_content import TrackerObserver
    from trader.adapters.tracker_mlflow import ENVIRONMENT, MlflowNotebook
    from trader.config import export

    export({**ENVIRONMENT, **_chart_cache(settings)})
    return TrackerObserver(MlflowNotebook(settings.tracker_dir, settings.mlflow_uri))


def _neptune(settings: Settings) -> Observer:
    from trader.adapters.tracker_content import TrackerObserver
    from trader.adapters.tracker_neptune import ENVIRONMENT, NeptuneNotebook
    from trader.config import export

    export({**ENVIRONMENT, **_chart_cache(settings)})
    token = settings.neptune_token.get_secret_value().strip()
    return TrackerObserver(NeptuneNotebook(settings.tracker_dir / "neptune", settings.neptune_project, token))


def _chart_cache(settings: Settings) -> dict[str, str]:
    """Where matplotlib remembers the fonts it found: a user without a home would look for them with every order."""
    return {"MPLCONFIGDIR": str(settings.tracker_dir.absolute() / "matplotlib")}


def _notices(settings: Settings) -> Observer:
    from trader.adapters.notify import Notifier

    return Notifier(settings.notify.get_secret_value().split(), settings.notify_level)


def _heartbeat(settings: Settings) -> Observer:
    from trader.adapters.heartbeat import Heartbeat

    return Heartbeat(settings.heartbeat_url.get_secret_value().strip())


def _page(settings: Settings) -> Observer:
    from trader.pages import PageObserver

    return PageObserver(settings)


def _copies(settings: Settings) -> Observer:
    from trader import wiring
    from trader.adapters.clocks import WallClock
    from trader.adapters.copies import Copies

    collector = wiring.make_collector(settings, wiring.make_market(settings, WallClock()))
    return Copies(wiring.make_store(settings), collector.between)


BUILDERS: dict[str, Callable[[Settings], Observer]] = {
    "notices": _notices,
    "heartbeat": _heartbeat,
    "page": _page,
    "copies": _copies,
    "mlflow": _mlflow,
    "neptune": _neptune,
}


def note_of(settings: Settings) -> str:
    """What a person should know about the trackers when a service starts; "" where there is nothing to say."""
    if settings.trackers is None and missing("mlflow"):
        return "no tracker: MLflow is not installed (python -m pip install 'hourly-trader[mlflow]')"
    if "neptune" in names_of(settings):
        from trader.adapters.tracker_neptune import CLOSED

        return CLOSED
    return ""


@contextlib.contextmanager
def alone(settings: Settings) -> Iterator[bool]:
    """Whether this process is the only one here that tells observers, for as long as the context lasts."""
    try:
        settings.tracker_dir.mkdir(parents=True, exist_ok=True)
        lock = (settings.tracker_dir / ".lock").open("w")
    except OSError:  # a folder that cannot be written is each tracker's own trouble
        yield True
        return
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


def tell_after_tick(settings: Settings, journal: Journal, hour: int, closed: bool) -> None:
    """Tell observers if they have not heard of `hour`. `closed`: this tick closed it, so they cannot have. Raises
    nothing: the hour is done whatever observers do."""
    names = names_of(settings)
    try:
        news = bool(names) and (closed or behind(journal, names, hour))
    except TraderError as error:
        terminal.say(f"observers: {error}")
        return
    if news:
        tell_beside(settings)


def tell_beside(settings: Settings) -> None:
    """Run `trader observe` as a child, at most `observer_patience_s`. Raises nothing."""
    if not names_of(settings):
        return
    child = _start(settings)
    if child is None:
        return
    try:
        child.wait(settings.observer_patience_s)
    except subprocess.TimeoutExpired:
        terminal.say(
            f"observers: not done after {settings.observer_patience_s:g} s and stopped; the next tick goes on with them"
        )
    except KeyboardInterrupt:
        terminal.say("observers: interrupted; the next tick goes on with them")
    finally:
        _end(child)


class Beside:
    """Tells observers in the background of a service: one telling at a time, none of them waited for."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._names = names_of(settings)
        self._child: subprocess.Popen[bytes] | None = None
        self._timer: threading.Timer | None = None

    def __enter__(self) -> Beside:
        return self

    def tell(self, journal: Journal, hour: int, closed: bool) -> None:
        """Start telling, unless there is nothing new or the last telling still runs."""
        if not self._names or (self._child is not None and self._child.poll() is None):
            return
        try:
            news = closed or behind(journal, self._names, hour)
        except TraderError as error:
            terminal.say(f"observers: {error}")
            return
        if news:
            self._stop_timer()
            self._child = _start(self._settings)
            if self._child is not None:
                self._timer = threading.Timer(self._settings.observer_patience_s, _end, [self._child])
                self._timer.daemon = True
                self._timer.start()

    def __exit__(self, *_: object) -> None:
        self._stop_timer()
        if self._child is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._child.wait(LAST_WORDS_S)
            _end(self._child)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()


def _start(settings: Settings) -> subprocess.Popen[bytes] | None:
    options = ["--symbol", settings.symbol, "--store", settings.store, "--data", str(settings.bars)]
    command = [sys.executable, "-m", "trader.cli", "observe", *options]
    try:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)  # noqa: S603 - this very program
    except OSError as error:
        terminal.say(f"observers: a process for them cannot be started ({error.strerror})")
        return None


def _end(child: subprocess.Popen[bytes]) -> None:
    if child.poll() is None:
        child.kill()
    child.wait()
