"""Tests of families whose libraries only `make families` installs: elsewhere there is nothing to collect here."""

from __future__ import annotations

from importlib.util import find_spec

collect_ignore_glob = [] if find_spec("statsforecast") and find_spec("prophet") else ["test_*.py"]
