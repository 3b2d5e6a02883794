"""A notebook as code: what of its cells is Python."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path

from trader.core.errors import ConfigError, DataError


def code_of_notebook(path: Path) -> str:
    """The code cells one after the other; lines for the notebook's shell (%, !) as calls with their text. Raises DataError for
    what is no notebook."""
    try:
        stat = path.stat()
        return _code(path, stat.st_mtime_ns, stat.st_size)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None


@lru_cache(maxsize=64)
def _code(path: Path, _time: int, _size: int) -> str:
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        sources = [it["source"] for it in cells if it["cell_type"] == "code"]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is no notebook ({error!r})") from None
    texts = [it if isinstance(it, str) else "".join(it) for it in sources]
    lines = "\n".join(texts).splitlines()
    return "\n".join(map(_as_python, lines)) + "\n"


def _as_python(line: str) -> str:
    said = line.lstrip()
    return f"{line[: len(line) - len(said)]}_shell({said!r})" if said.startswith(("%", "!")) else line
