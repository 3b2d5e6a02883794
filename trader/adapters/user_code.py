"""A user's own Python file, run once: named by the user in a setting or an option, never by a store."""

from __future__ import annotations

import importlib.util
import linecache
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from trader.core.errors import ConfigError
from trader.plain_file import NotTextError, read_plain, text_of


@dataclass(frozen=True, slots=True)
class UserCode:
    """A file that was run: its module, and the very text that was run."""

    module: ModuleType
    source: str


def run_file(path: Path, setting: str, name: str) -> UserCode:
    """Run the file as a module of this name. `setting` is the user's own word for it in every message.

    Raises ConfigError where the file cannot be read or run.
    """
    try:
        source = text_of(read_plain(path))
    except (OSError, NotTextError) as error:
        raise ConfigError(f"{setting} {path} cannot be read: {error}. Set it in trader.toml") from None
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"{setting} {path} is no Python file; name it *.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    # `inspect` and tracebacks show what ran, also after the file has changed: an entry without a time is never read again.
    linecache.cache[str(path)] = (len(source), None, source.splitlines(keepends=True), str(path))
    try:
        # What is hashed is what is run, so the text is not read a second time.
        exec(compile(source, str(path), "exec", dont_inherit=True), module.__dict__)  # noqa: S102  # the user names it
    except Exception as error:  # whatever a user's file may raise
        raise ConfigError(f"{setting} {path} failed: {type(error).__name__}: {error}") from error
    return UserCode(module, source)
