"""Families of models that come from a user's own file: how each is made, and the hash of the file that a model remembers.

The core reads no file: adapters/user_models.py does, and registers here what it found. See docs/families.md.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from trader.core.errors import ConfigError
from trader.core.model_params import FAMILIES, FamilyParams, accept
from trader.core.ports import Forecaster

GIVE_THE_FILE = (
    'name the file in trader.toml, model_module = "FILE.py" (or TRADER_MODEL_MODULE). See docs/families.md'
)


@dataclass(frozen=True, slots=True)
class OwnFamily:
    """A family of a user's own file. params: the class that `model` is validated by. make: gives a forecaster. source: the
    text of the whole file, as it was run. path: where it was read from, for messages."""

    family: str
    params: type[FamilyParams]
    make: Callable[[], Forecaster]
    source: str
    path: str

    @property
    def code_hash(self) -> str:
        """Of the text of the file: a model is only served by the code that it was trained by."""
        return hashlib.sha256(self.source.encode()).hexdigest()[:16]


_known: dict[str, OwnFamily] = {}


def register(own: OwnFamily) -> None:
    """Make a family known by its name, in this process. Safe to repeat with the same file. Raises ConfigError for a name that
    another family has."""
    there = _known.get(own.family)
    if (own.family in FAMILIES) if there is None else (there.source != own.source):
        raise ConfigError(
            f"{own.path}: there is a family of models {own.family!r} already; choose another name for yours"
        )
    accept(own.family, own.params)
    _known[own.family] = own


def own_family(family: str) -> OwnFamily | None:
    """The family of a user's own file, None where the name is not one."""
    return _known.get(family)


def own_families() -> tuple[str, ...]:
    """The names of all of them."""
    return tuple(_known)


def family_hash(family: str) -> str:
    """The hash of the file that defines a family; "" for a family that is shipped. Raises ConfigError, with the way out, for a
    family that is not known in this process."""
    if family not in FAMILIES:
        raise ConfigError(
            f"there is no family of models {family!r}; there are {', '.join(FAMILIES)}. If it is your own, {GIVE_THE_FILE}"
        )
    own = _known.get(family)
    return "" if own is None else own.code_hash
