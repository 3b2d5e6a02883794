"""A notebook as code: what of its cells is Python."""

from __future__ import annotations

import ast
import json
from functools import lru_cache
from pathlib import Path

from backtest.pipeline.kept_answers import stamp_of
from trader.core.errors import ConfigError, DataError


def code_of_notebook(path: Path) -> str:
    """The code cells one after the other; lines for the notebook's shell (%, !) and cells that are no Python as calls with their
    text. Raises DataError for what is no notebook."""
    try:
        return _code(path, stamp_of(path.stat()))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None


@lru_cache(maxsize=64)
def _code(path: Path, _stamp: tuple[int, ...]) -> str:
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        sources = [it["source"] for it in cells if it["cell_type"] == "code"]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is no notebook ({error!r})") from None
    texts = [it if isinstance(it, str) else "".join(it) for it in sources]
    return "\n".join(map(_as_python, texts)) + "\n"


def _as_python(cell: str) -> str:
    """A cell that is Python but for lines of the shell; any other, such as one of `%%bash`, counts by its text."""
    said = "\n".join(map(_line_as_python, cell.splitlines()))
    try:
        ast.parse(said)
    except (SyntaxError, ValueError):
        return f"_shell({cell!r})"
    return f"_shell({cell!r})" if cell.lstrip().startswith("%%") else said


def _line_as_python(line: str) -> str:
    said = line.lstrip()
    return f"{line[: len(line) - len(said)]}_shell({said!r})" if said.startswith(("%", "!")) else line
