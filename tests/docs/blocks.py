"""The fenced blocks of a page, what a reader is told about each, and a reader who types them all.

A page's ```sh blocks are typed into one shell, in order, in a fresh folder; a ```text block right after one is what it prints,
`...` standing for anything. A block whose first line is a comment with a file's name (`# my_features.py`) is written to that
file. What is not typed says so on the line above it, in a comment that a reader of the source sees:

    <!-- not run: REASON -->            it needs what is not here
    <!-- run by tests/some/test.py -->  a test of its own runs it; that test names the page
"""

from __future__ import annotations

import doctest
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
TYPED = ("sh", "python")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MARK = re.compile(r"<!-- (not run: (?P<reason>.+)|run by (?P<test>tests/\S+\.py)) -->\n\Z")
NAMED = re.compile(r"\A# (\S+\.(?:py|toml|json|txt))\n")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block. reason: why it is not typed; test: which test runs it; prints: what it is said to print."""

    page: Path
    line: int
    language: str
    body: str
    reason: str
    test: str
    prints: str | None

    @property
    def place(self) -> str:
        """For a message."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def file(self) -> str:
        """The file that it is, "" for one that is typed."""
        found = NAMED.match(self.body)
        return found[1] if found else ""

    @property
    def is_typed(self) -> bool:
        """Whether a reader of the page types or saves it as it stands."""
        return not (self.reason or self.test) and (self.language in TYPED or bool(self.file))


def blocks_of(page: Path) -> list[Block]:
    """The blocks of a page, in order."""
    text = page.read_text()
    found = list(FENCE.finditer(text))
    return [_block(page, text, one, after) for one, after in zip(found, [*found, None][1:], strict=True)]


def _block(page: Path, text: str, one: re.Match[str], after: re.Match[str] | None) -> Block:
    mark = MARK.search(text, 0, one.start())
    said = mark.groupdict() if mark else {}
    follows = after is not None and after[1] == "text" and not text[one.end() : after.start()].strip()
    return Block(
        page,
        text.count("\n", 0, one.start()) + 1,
        one[1],
        one[2],
        said.get("reason") or "",
        said.get("test") or "",
        after[2] if after is not None and follows else None,
    )


@dataclass(frozen=True, slots=True)
class Typed:
    """What the blocks of a page printed, and what the shell said of the one that failed ("" if none did)."""

    printed: dict[int, str]
    failure: str


INSTALLED = Path(sys.executable).parent
# Patience with an exchange that starts: a busy machine needs more, an idle one less.
PATIENCE = re.compile(r"^sleep \d(?= |$)", re.MULTILINE)
READY = "for _ in $(seq 600); do curl -s -o /dev/null $TRADER_VENUE_URL/api/v3/time && break; sleep 0.1; done"


def typed(blocks: list[Block], folder: Path, timeout_s: float, programs: Path = INSTALLED) -> Typed:
    """Type the blocks of a page into one shell in a folder, with a free port instead of the exchange's usual one, and for the
    seconds that a reader waits for an exchange, until it answers. Nothing that they start outlives the page.

    programs: a folder with both commands, first in the shell's path; else those that this environment has installed.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    out = folder / ".out"
    out.mkdir()
    script = out / "typed.sh"
    script.write_text("".join(_lines(blocks, out)).replace("8900", port))
    environment = {
        "PATH": os.pathsep.join((str(programs), str(INSTALLED), os.defpath)),
        "HOME": str(folder),
        "TRADER_VENUE_URL": f"http://127.0.0.1:{port}",
        "TRADER_TRACKERS": "none",
        "PYTHONPATH": str(ROOT),
        "LC_ALL": "C.UTF-8",
    }
    shell = subprocess.Popen(
        ["bash", "-eu", "-o", "pipefail", str(script)], cwd=folder, env=environment, start_new_session=True,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip  # read as a table
    try:
        code = shell.wait(timeout_s)
    except subprocess.TimeoutExpired:
        code = -1
    finally:
        with suppress(ProcessLookupError):  # nothing was left in the background
            os.killpg(shell.pid, signal.SIGKILL)
        shell.wait()
    printed = {block.line: _read(out / f"{block.line}.out") for block in blocks}
    return Typed(printed, _failure(blocks, out, code))


def type_page(page: Path, folder: Path, timeout_s: float, programs: Path = INSTALLED) -> None:
    """Type a whole page in a folder that holds what the checkout's does: `cron-job`. Raises AssertionError."""
    shutil.copy(ROOT / "cron-job", folder)
    blocks = [block for block in blocks_of(page) if block.is_typed]
    said = typed(blocks, folder, timeout_s, programs)
    assert not said.failure, said.failure
    for block in blocks:
        if block.prints is not None:
            matches(said.printed[block.line], block)


def matches(printed: str, block: Block) -> None:
    """What was printed is what the page shows; `...` stands for anything. Raises AssertionError."""
    same = doctest.OutputChecker().check_output(block.prints or "", printed, doctest.ELLIPSIS)
    assert same, f"{block.place} says\n{block.prints}\nand this was printed:\n{printed}"


def _lines(blocks: list[Block], out: Path) -> Iterator[str]:
    for block in blocks:
        streams = f'>"{out}/{block.line}.out" 2>"{out}/{block.line}.err"'
        if block.file:
            yield f"mkdir -p \"$(dirname {block.file})\"; cat > {block.file} {streams.split(' ')[1]} <<'END OF BLOCK'\n"
            yield f"{block.body}END OF BLOCK\n"
        elif block.language == "python":
            yield f"python - {streams} <<'END OF BLOCK'\n{block.body}END OF BLOCK\n"
        else:
            yield f"{{\n{PATIENCE.sub(READY, block.body)}}} {streams}\n"
        yield f'touch "{out}/{block.line}.done"\n'


def _failure(blocks: list[Block], out: Path, code: int) -> str:
    for block in blocks:
        if not (out / f"{block.line}.done").exists():
            said = _read(out / f"{block.line}.out") + _read(out / f"{block.line}.err")
            return f"{block.place} ended with {code}:\n{block.body}\n{said}"
    return ""


def _read(file: Path) -> str:
    return file.read_text() if file.exists() else ""
