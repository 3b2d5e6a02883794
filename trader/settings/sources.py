"""Where settings come from: options, the environment, trader.toml, in the order in which they win."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trader.core.errors import ConfigError
from trader.plain_file import NotTextError, read_plain, text_of
from trader.settings.texts import cleaned

PREFIX = "TRADER_"
OPTION, ENVIRONMENT, TOML = "option", "environment", "trader.toml"
KEY_OF_THE_STORE = "store_hmac_key"
# What a cluster sets for every process beside a service called `trader`, and what this project's own tests read.
_NOT_OURS = re.compile(
    r"TRADER_(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)|TRADER_PORT"
    r"|TRADER_CONTRACT_VENUE"
)
_SIMILAR = 0.75
_SHORTEST_WORD = 4


@dataclass(frozen=True, slots=True)
class Given:
    """A setting's value as it was given, unchecked. where: one of the three sources; spelled: its name there."""

    value: Any
    where: str
    spelled: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """A name that no setting has. nearest: the setting that was meant, by its name there, "" where none resembles it."""

    spelled: str
    where: str
    nearest: str

    def in_words(self) -> str:
        """For a message."""
        said = f"{self.where}: no setting is called {self.spelled}"
        return f"{said}; did you mean {self.nearest}?" if self.nearest else said


def gather(
    options: Mapping[str, Any], environ: Mapping[str, str], known: Collection[str]
) -> tuple[dict[str, Given], list[Unknown]]:
    """What wins for each setting, and the names that no setting has. Raises ConfigError for a file that cannot be read, and
    for one that holds the key of the store."""
    toml = of_toml(Path(TOML))
    if KEY_OF_THE_STORE in toml:
        raise ConfigError(
            f"{TOML}: {KEY_OF_THE_STORE} belongs in the environment, as "
            f"{PREFIX}{KEY_OF_THE_STORE.upper()}: a file is copied with what lies beside it"
        )
    found = {name: Given(value, TOML, name) for name, value in toml.items() if name in known}
    found |= of_names(environ, known, ENVIRONMENT)
    found |= {name: Given(value, OPTION, name) for name, value in options.items() if value is not None}
    strangers = unknown_names(environ, known, ENVIRONMENT)
    strangers += [Unknown(name, TOML, nearest(name, known)) for name in toml if name not in known]
    return found, strangers


def of_names(values: Mapping[str, str], known: Collection[str], where: str) -> dict[str, Given]:
    """The settings among variables named TRADER_<NAME>, in any case; one that is empty says nothing."""
    found = {}
    for name, value in values.items():
        field = name.upper().removeprefix(PREFIX).lower()
        if name.upper().startswith(PREFIX) and field in known and not _is_empty(value):
            found[field] = Given(value, where, name)
    return found


def _is_empty(value: str) -> bool:
    try:
        return not cleaned(value, secret=True)
    except ValueError:
        return False  # whoever reads it says what is wrong


def of_toml(path: Path) -> dict[str, Any]:
    """The keys of trader.toml. Raises ConfigError for one that cannot be read or is not TOML."""
    text = _text(path)
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: {error}") from None


def _text(path: Path) -> str:
    """A file's text, none where there is no file."""
    try:
        return text_of(read_plain(path))
    except FileNotFoundError:
        return ""
    except NotTextError as error:
        raise ConfigError(f"{path}, {error}") from None
    except OSError as error:
        said = error.strerror or str(error)
        raise ConfigError(f"{path} {said if said.startswith('is ') else f'cannot be read: {said}'}") from None


def unknown_names(names: Iterable[str], known: Collection[str], where: str) -> list[Unknown]:
    """The TRADER_ variables that no setting has, each with the one that was meant."""
    found = []
    for name in sorted(names):
        field = name.upper().removeprefix(PREFIX).lower()
        if name.upper().startswith(PREFIX) and field not in known and not _NOT_OURS.fullmatch(name.upper()):
            meant = nearest(field, known)
            found.append(Unknown(name, where, f"{PREFIX}{meant.upper()}" if meant else ""))
    return found


def nearest(name: str, known: Collection[str]) -> str:
    """The setting that a name resembles, by its letters or by a word that both have; "" for none."""
    close = difflib.get_close_matches(name, known, 1, _SIMILAR)
    if close:
        return close[0]
    words = {word for word in name.split("_") if len(word) >= _SHORTEST_WORD}
    sharing = [other for other in known if words & set(other.split("_"))]
    return max(sharing, key=lambda other: difflib.SequenceMatcher(None, name, other).ratio(), default="")
