"""Which observers the settings name, and what each of them needs installed. Imports none of them."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from trader.app.cursors import has_cursor

if TYPE_CHECKING:
    from trader.app.journal import Journal
    from trader.config import Settings

# What a tracker imports; an installation without it has no such tracker.
NEEDS = {
    "notices": ("apprise",),
    "heartbeat": (),
    "page": ("jinja2", "plotly"),
    "copies": (),
    "redis": ("redis",),
    "mlflow": ("mlflow", "sqlalchemy", "alembic", "matplotlib"),
    "neptune": ("neptune", "matplotlib"),
}
TITLES = {"mlflow": "MLflow", "neptune": "Neptune"}


def names_of(settings: Settings) -> tuple[str, ...]:
    """The observers of these settings, the quick ones first: a slow tracker must not keep a notice waiting."""
    wanted = {
        "notices": settings.notify.get_secret_value().strip(),
        "heartbeat": settings.heartbeat_url.get_secret_value().strip(),
        "redis": settings.redis_url.get_secret_value().strip(),
        "page": settings.page_dir,
        "copies": settings.copies,
    }
    return (*(name for name, setting in wanted.items() if setting), *trackers_of(settings))


def meant(settings: Settings, journal: Journal) -> tuple[str, ...]:
    """The observers of these settings whose standing is worth a line. A tracker that nobody named is one only where the store
    has a cursor of it: `trader demo` and `replay` tell nobody."""
    named = settings.trackers is not None
    return tuple(
        name for name in names_of(settings) if named or name not in TITLES or has_cursor(journal, name)
    )


def trackers_of(settings: Settings) -> tuple[str, ...]:
    """The trackers that were asked for, else MLflow where it is installed."""
    if settings.trackers is None:
        return () if missing("mlflow") else ("mlflow",)
    return () if settings.trackers == "none" else tuple(dict.fromkeys(settings.trackers.split(",")))


def missing(name: str) -> list[str]:
    """Packages that a tracker needs and that are not installed. Imports nothing."""
    return [package for package in NEEDS.get(name, ()) if find_spec(package) is None]
