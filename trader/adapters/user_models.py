"""A user's own families of models: one Python file, named in trader.toml, never by a store.

A file defines, for each family, a subclass of FamilyParams and a class with `family`, `fit`, `load` and `traits`, both of one
`family` name.
"""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

from trader.adapters.user_code import run_file
from trader.core.errors import ConfigError
from trader.core.families import OwnFamily, register
from trader.core.model_params import FamilyParams

MODULE = "trader_user_models"
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")


def load(path: Path) -> list[OwnFamily]:
    """Run the file and register every family that it defines at its top level.

    Raises ConfigError where the file cannot be run, defines no family, or one that lacks a part or has a name that is taken.
    """
    code = run_file(path, "model_module", MODULE)
    kinds: list[type[Any]] = [
        it for it in vars(code.module).values() if inspect.isclass(it) and it.__module__ == MODULE
    ]
    params = {_family_of(it, path): it for it in kinds if issubclass(it, FamilyParams)}
    makers = {str(it.family): it for it in kinds if _is_forecaster(it)}
    if not params and not makers:
        raise ConfigError(
            f"model_module {path} defines no family of models; write a subclass of FamilyParams and one of ArrayForecaster. "
            "See docs/families.md"
        )
    _require_pairs(path, params, makers)
    own = [OwnFamily(name, kind, makers[name], code.source, str(path)) for name, kind in params.items()]
    for family in own:
        register(family)
    return own


def _family_of(kind: type[FamilyParams], path: Path) -> str:
    """The name that a class of parameters gives its family."""
    name = kind.model_fields["family"].default
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ConfigError(
            f'model_module {path}: {kind.__name__} needs family: Literal["NAME"] = "NAME", the name one word in lower case'
        )
    return name


def _is_forecaster(kind: type[Any]) -> bool:
    """True for a class that can be made and has what a forecaster has; a base class of several families is none."""
    parts = all(hasattr(kind, name) for name in ("family", "fit", "load", "traits"))
    return parts and not inspect.isabstract(kind)


def _require_pairs(path: Path, params: dict[str, type[FamilyParams]], makers: dict[str, type[Any]]) -> None:
    """Raises ConfigError unless every family has both its parameters and its forecaster."""
    if lone := sorted(params.keys() ^ makers.keys()):
        lacks = "a forecaster (with family, fit, load, traits)" if lone[0] in params else "a FamilyParams"
        raise ConfigError(
            f"model_module {path}: family {lone[0]!r} lacks {lacks} of that name. See docs/families.md"
        )
