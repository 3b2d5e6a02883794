"""Which program this is: what must be equal on two machines for them to compute equal bytes."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import re
import sys
from functools import cache
from pathlib import Path

DISTRIBUTION = "hourly-trader"
_PACKAGES = ("trader", "backtest")


@cache
def program() -> dict[str, str]:
    """Versions of Python and of every library that is installed of those the project names, and the sources' hash."""
    names = {found[0].lower() for line in _required() if (found := re.match(r"[A-Za-z0-9._-]+", line))}
    versions = {name: version for name in sorted(names) if (version := _version(name))}
    return {"python": sys.version.split()[0], **versions, "sources": _sources()}


@cache
def program_hash() -> str:
    """The same in one word."""
    return hashlib.sha256(json.dumps(program(), sort_keys=True).encode()).hexdigest()[:16]


def _required() -> list[str]:
    try:
        return importlib.metadata.requires(DISTRIBUTION) or []
    except importlib.metadata.PackageNotFoundError:  # sources on a path, not installed
        return []


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _sources() -> str:
    root = Path(__file__).resolve().parents[2]
    digest = hashlib.sha256()
    for package in _PACKAGES:
        for file in sorted((root / package).rglob("*.py")):
            digest.update(f"{file.relative_to(root).as_posix()}\n".encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()[:16]
