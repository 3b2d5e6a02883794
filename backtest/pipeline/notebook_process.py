"""Executes a notebook in the working folder and writes it there, with what its cells printed and drew."""

from __future__ import annotations

import sys
from pathlib import Path


def main(path: Path) -> None:
    """Raises CellExecutionError, which shows the cell, for one that fails."""
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    folder = {"metadata": {"path": str(Path.cwd())}}
    # Files beside the notebook can be imported, as those beside a script; the kernel runs in the stage's own folder.
    beside = f"import sys; sys.path.insert(0, {str(path.parent)!r})"
    options = [f"--InteractiveShellApp.exec_lines={beside}"]
    NotebookClient(
        notebook, timeout=None, kernel_name="python3", resources=folder, extra_arguments=options
    ).execute()
    nbformat.write(notebook, Path(path.name))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
