"""What of a notebook counts as code: its cells, with lines for its shell, and what they use of files beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from backtest.pipeline.code import Code
from backtest.pipeline.notebook import code_of_notebook

HELPER = "def f():\n    return 7\n\ndef unused():\n    return 1\n"


def notebook(path: Path, *sources: str) -> dict[str, Any]:
    """A notebook of these cells, written."""
    cell: dict[str, Any] = {"cell_type": "code", "execution_count": None, "metadata": {}, "outputs": []}
    told = {"cells": [{**cell, "source": it} for it in sources], "metadata": {}, "nbformat": 4}
    path.write_text(json.dumps(told))
    return told


def digest(path: Path) -> str:
    """Of what the notebook reaches."""
    return Code(None).reached((), file=path, source=code_of_notebook(path)).digest


@pytest.mark.parametrize(
    "cell",
    [
        "x = helper.f()",
        "%time x = helper.f()",
        "%%time\nx = helper.f()",
        "%%time\nimport helper as h\nx = h.f()",
        "y = !ls {helper.f()}",
        "y = !ls\nx = helper.f()",
        "!echo {helper.f()}",
        "for i in range(3):\n    %timeit helper.f()",
        "%%capture out\nfrom helper import f\nf()",
        "helper.f?\nhelper.f()",
        "%%script python\nthis is no Python: helper.f()",
    ],
)
def test_a_helper_beside_it_counts_however_a_cell_calls_it(cell: str, tmp_path: Path) -> None:
    """Magics, commands of the shell, and cells that are no Python name it too; what nobody names does not count."""
    book, helper = tmp_path / "look.ipynb", tmp_path / "helper.py"
    notebook(book, "import helper", cell)
    helper.write_text(HELPER)
    before = digest(book)
    helper.write_text(HELPER.replace("return 7", "return 8"))
    assert digest(book) != before
    helper.write_text(HELPER.replace("return 1", "return 2"))
    assert digest(book) == before


def test_cells_that_are_no_python_count_by_their_text(tmp_path: Path) -> None:
    """A cell of Bash, an option of a magic; not what cells printed, nor words between them."""
    book = tmp_path / "look.ipynb"
    told = notebook(book, "%matplotlib inline\nx = 1", "%%bash\necho one two")
    before = digest(book)
    notebook(book, "%matplotlib inline\nx = 1", "%%bash\necho one three")
    assert digest(book) != before
    notebook(book, "%matplotlib agg\nx = 1", "%%bash\necho one two")
    assert digest(book) != before
    told["cells"][0] |= {
        "outputs": [{"output_type": "stream", "name": "stdout", "text": ["2"]}],
        "execution_count": 3,
    }
    told["cells"].append({"cell_type": "markdown", "metadata": {}, "source": "Words."})
    book.write_text(json.dumps(told))
    assert digest(book) == before


def test_text_that_looks_like_the_shell_is_python_where_it_is_python(tmp_path: Path) -> None:
    """A formatted string over several lines, a remainder at the beginning of a line."""
    book = tmp_path / "look.ipynb"
    cell = "x = (5\n% 3)\ny = '''\n!not a command\n'''\n"
    notebook(book, cell)
    before = digest(book)
    notebook(book, cell.replace("!not a", "!no"))
    assert digest(book) != before
    notebook(book, cell.replace("% 3", "% 4"))
    assert digest(book) != before
