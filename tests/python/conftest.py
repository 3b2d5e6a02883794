"""What a user's own files register is forgotten after each test."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest

from trader.adapters.user_models import MODULE
from trader.core import families, presets
from trader.core.model_params import FAMILIES


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """Families and presets are those of before."""
    registries: tuple[dict[str, Any], ...] = (FAMILIES, families._known, presets._known)
    before = [dict(it) for it in registries]
    yield
    for registry, known in zip(registries, before, strict=True):
        registry.clear()
        registry.update(known)
    sys.modules.pop(MODULE, None)
