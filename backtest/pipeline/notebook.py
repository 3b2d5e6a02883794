"""A notebook as code: what of its cells is Python."""

from __future__ import annotations

import ast
import json
import keyword
import re
from functools import lru_cache
from pathlib import Path

from backtest.pipeline.kept_answers import stamp_of
from trader.core.errors import ConfigError, DataError

_NAME = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*")
_OF_THE_SHELL = re.compile(r"(?P<before>\s*(?:[\w.,\s]+=\s*)?)(?P<said>[%!].*|\S+\?\??\s*)")


def code_of_notebook(path: Path) -> str:
    """The code cells one after the other; lines for the notebook's shell (%, !, ?) and cells that are no Python as calls with
    their text and the names in it. Raises DataError for what is no notebook."""
    try:
        return _code(path, stamp_of(path.stat()))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None


@lru_cache(maxsize=64)
def _code(path: Path, _stamp: tuple[int, ...]) -> str:
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        sources = [it["source"] for it in cells if it["cell_type"] == "code"]
        texts = [it if isinstance(it, str) else "".join(it) for it in sources]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is no notebook ({error!r})") from None
    return "\n".join(map(_as_python, texts)) + "\n"


def _as_python(cell: str) -> str:
    """A cell that is Python, or Python but for lines of the shell, such as one of `%%time`; any other, such as one of `%%bash`,
    by its text."""
    for said in (cell, "\n".join(map(_line_as_python, cell.splitlines()))):
        if _is_python(said):
            return said
    imports = [it.strip() for it in cell.splitlines() if it.strip().startswith(("import ", "from "))]
    return "\n".join([_shell(cell), *filter(_is_python, imports)])


def _line_as_python(line: str) -> str:
    found = _OF_THE_SHELL.fullmatch(line)
    return f"{found['before']}{_shell(found['said'])}" if found else line


def _shell(text: str) -> str:
    """A call with a text, and with the names in it: `%time helper.f()` uses what `helper.f` leads to."""
    names = sorted({it for it in _NAME.findall(text) if not any(map(keyword.iskeyword, it.split(".")))})
    return f"_shell({', '.join([repr(text), *names])})"


def _is_python(text: str) -> bool:
    try:
        ast.parse(text)
    except (SyntaxError, ValueError):
        return False
    return True
