"""`trader config`: every setting as it counts, where it came from, and what is wrong with it. Asks no network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from trader import terminal
from trader.adapters.bar_folder import said_of
from trader.commands.common import AsJson, BarsDir, StoreDir, Symbol
from trader.config import Settings, gather, settle
from trader.core.errors import ConfigError, TraderError
from trader.core.text import visible
from trader.settings.sources import TOML

if TYPE_CHECKING:
    from collections.abc import Callable

    from trader.settings.sources import Given

DEFAULT = "default"
MASKED = "********"
VALUE_WIDTH = 36


def config(
    symbol: Symbol = None, store: StoreDir = None, bars: BarsDir = None, as_json: AsJson = False
) -> None:
    """Show every setting, its value and where it came from, secrets masked, and check them without asking any network.

    Options win over the environment, that over trader.toml. Exit 2 with each fault named, else 0.
    Example: trader config
    """
    found, unknown = gather({"symbol": symbol, "store": store, "bars": bars})
    settings, sound, faults = _settled(found)
    faults += [it.in_words() for it in unknown if it.nearest or it.where == TOML]
    if not faults:
        faults = _faults(settings)
    rows = [_row(name, settings, _source(found.get(name), name in sound)) for name in Settings.model_fields]
    ignored = [it.in_words() for it in unknown if not it.nearest and it.where != TOML]
    if as_json:
        terminal.emit({"settings": rows, "faults": faults, "ignored": ignored})
    else:
        _show(rows, ignored)
    for fault in faults:
        terminal.say(fault, "error")
    if faults:
        raise SystemExit(ConfigError.exit_code)


def _settled(found: dict[str, Given]) -> tuple[Settings, dict[str, Given], list[str]]:
    """The settings without those that are wrong, the ones that are right, and what is wrong with the others."""
    settings, faults = settle(found)
    if settings is not None:
        return settings, found, faults
    sound = {name: given for name, given in found.items() if settle({name: given})[0] is not None}
    settings, _ = settle(sound)
    if settings is None:
        raise ConfigError("; ".join(faults))
    return settings, sound, faults


def _source(given: Given | None, sound: bool) -> str:
    return DEFAULT if given is None else given.where if sound else f"default ({given.where} is wrong)"


def _effective(name: str, settings: Settings) -> Any:
    """A setting's value; where its default follows from the venue, what follows."""
    follows: dict[str, Callable[[], Any]] = {
        "venue_url": lambda: settings.exchange_url,
        "data_url": lambda: (
            settings.market_url if settings.bar_source is None else said_of(settings.bar_source)
        ),
        "price_band": lambda: settings.band,
        "largest_exposure": lambda: settings.exposure_limit,
    }
    try:
        return follows.get(name, lambda: getattr(settings, name))()
    except ConfigError:
        return None if name == "data_url" else getattr(settings, name)  # what is wrong is said as a fault


def _row(name: str, settings: Settings, source: str) -> dict[str, Any]:
    """A setting as JSON: value in text, None where nothing is set."""
    value = _effective(name, settings)
    if isinstance(value, SecretStr):
        value = MASKED if value.get_secret_value() else None
    elif value is not None and not isinstance(value, bool | int | float):
        text = ",".join(value) if isinstance(value, tuple) else str(value)
        value = MASKED if "://" in text and "@" in text else text
    return {"name": name, "value": value, "source": source}


def _show(rows: list[dict[str, Any]], ignored: list[str]) -> None:
    shown = [(row["name"], _short(row["value"]), row["source"]) for row in rows]
    widths = [max(len(row[column]) for row in shown) for column in range(2)]
    for name, value, source in [("setting", "value", "from"), *shown]:
        terminal.show(f"{name:<{widths[0]}}  {value:<{widths[1]}}  {source}")
    for words in ignored:
        terminal.show(f"{words}; it is ignored")


def _short(value: Any) -> str:
    """A value within its column: the end of a long path says more than its beginning."""
    text = "-" if value is None else visible(str(value).lower() if isinstance(value, bool) else str(value))
    return (text or "-") if len(text) <= VALUE_WIDTH else f"...{text[3 - VALUE_WIDTH :]}"


def _faults(settings: Settings) -> list[str]:
    """What settings that are right each by itself are wrong about together, or on this machine."""
    from trader.observers import builders

    checks: list[Callable[[], object]] = [
        lambda: settings.exchange_url,
        lambda: settings.keys,
        lambda: None if settings.bar_source is None else said_of(settings.bar_source),
        lambda: builders.require_installed(settings),
        lambda: _require_file("features_module", settings.features_module),
        lambda: _require_file("model_module", settings.model_module),
        lambda: _require_folder("bars", settings.bars),
        lambda: _require_folder("tracker_dir", settings.tracker_dir),
        lambda: _require_folder("page_dir", settings.page_dir),
        lambda: _require_folder("store", None if settings.bucket else Path(settings.store)),
    ]
    faults = []
    for check in checks:
        try:
            check()
        except TraderError as error:
            faults.append(str(error))
    return faults


def _require_file(name: str, path: Path | None) -> None:
    if path is not None and not path.is_file():
        raise ConfigError(f"{name}: {path} is no file")


def _require_folder(name: str, path: Path | None) -> None:
    """Raises ConfigError where a file stands in the place of a folder, or of one above it."""
    if path is None:
        return
    there = path.absolute()
    while not there.exists():
        there = there.parent
    if not there.is_dir():
        raise ConfigError(f"{name}: {there} is a file, not a folder")
