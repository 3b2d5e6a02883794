"""The benchmarks' own frame: a number beside its target, and modules that are found by their name."""

from __future__ import annotations

import ast
import sys
import threading
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from benchmarks import peers
from benchmarks.__main__ import failed, side_by_side
from benchmarks.__main__ import names as benchmarks_named
from benchmarks.figure import Figure, Sense
from benchmarks.tape import Constants, constants, read, recording, write

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.mark.parametrize(
    ("value", "sense", "target", "verdict"),
    [
        (0.5, "at most", 0.55, "ok"),
        (0.56, "at most", 0.55, "MISSED"),
        (0.85, "at least", 0.84, "ok"),
        (19.0, "exactly", 20.0, "MISSED"),
        (3.0, None, None, "-"),
        (None, "at most", 1.0, "not measured"),
    ],
)
def test_a_verdict_follows_from_the_target(
    value: float | None, sense: Sense | None, target: float | None, verdict: str
) -> None:
    """Reached, missed, nothing to reach, or not measured: never a silent pass."""
    assert Figure("a figure", value, sense, target).verdict == verdict


def test_a_row_is_readable() -> None:
    """Whole numbers are whole, ratios short, units behind."""
    assert Figure("rows", 35_064, "exactly", 35_064).row() == ("rows", "35,064", "exactly 35,064", "ok")
    assert Figure("wall", 0.47031, "at most", 0.55).row() == ("wall", "0.4703", "at most 0.55", "ok")
    assert Figure("peak", 207.31, "at most", 300, "MB").row() == ("peak", "207.3 MB", "at most 300 MB", "ok")


def test_a_small_run_fails_by_results_and_by_what_was_not_measured() -> None:
    """Times may be anything on a busy machine; a wrong result and a missing other side may not."""
    slow, wrong = Figure("slow", 9.0, "at most", 1.0), Figure("wrong", 1.0, "exactly", 0.0, is_result=True)
    figures = [slow, wrong, Figure("missing", None, "at most", 1.0)]
    assert failed(figures, small=True) == ["wrong", "missing"]
    assert failed(figures, small=False) == ["slow", "wrong"]
    assert slow.row(timed=False)[-1] == "-"
    assert wrong.row(timed=False)[-1] == "MISSED"


def test_small_forms_run_side_by_side_and_each_can_fail(capfd: pytest.CaptureFixture[str]) -> None:
    """What each says is shown whole, with its errors, and the names of those that failed come back."""

    def command(name: str) -> list[str]:
        code = f"import sys; print('figures of {name}'); sys.stderr.write('{name} said'); sys.exit({int('bad' in name)})"
        return [sys.executable, "-c", code]

    assert side_by_side(["good", "bad", "worse than bad"], command) == ["bad", "worse than bad"]
    out = capfd.readouterr().out
    assert all(f"figures of {name}\n{name} said" in out for name in ("good", "bad", "worse than bad"))


MODULES = sorted(BENCHMARKS.glob("bench_*.py"))


@pytest.mark.parametrize("file", MODULES, ids=lambda file: str(file.stem))
def test_every_benchmark_has_a_small_form_and_says_what_it_measures(file: Path) -> None:
    """What `make bench-small` runs in CI is there in every module that `python -m benchmarks` finds."""
    tree = ast.parse(file.read_text())
    names = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    assert {"run", "run_small"} <= set(names)
    assert ast.get_docstring(tree)
    assert file.stem.removeprefix("bench_") in benchmarks_named()


def test_the_other_sides_come_from_the_peers_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A variable names another interpreter; without one and without `make peers` the error says what to run."""
    monkeypatch.setattr(peers, "HOME", tmp_path)
    monkeypatch.delenv("VECTORBT_PYTHON", raising=False)
    with pytest.raises(RuntimeError, match=r"no interpreter; run: make peers \(or set VECTORBT_PYTHON\)"):
        peers.python("VECTORBT_PYTHON")
    monkeypatch.setenv("VECTORBT_PYTHON", sys.executable)
    assert peers.python("VECTORBT_PYTHON") == sys.executable


def test_a_tape_is_what_went_through_the_relay_and_is_answered_again(tmp_path: Path) -> None:
    """Requests in their order with whole answers; the server of constants gives the same bytes, whatever is asked."""
    behind = Constants(
        [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab", b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n"]
    )
    threading.Thread(target=behind.serve, daemon=True).start()
    with recording(behind.url) as relay:
        first = asked(relay.url, "GET", "/one?x=1")
        second = asked(relay.url, "POST", "/two", "signature=00")
    behind.close()
    write(relay.kept, tmp_path / "tape.jsonl")
    assert read(tmp_path / "tape.jsonl") == relay.kept
    assert [(told.method, told.target, told.body, told.signed) for told in relay.kept] == [
        ("GET", "/one?x=1", "", False),
        ("POST", "/two", "signature=00", True),
    ]
    with constants(tmp_path / "tape.jsonl") as url:
        assert (
            [asked(url, "PUT", "/other"), asked(url, "GET", "/one")]
            == [first, second]
            == [(200, b"ab"), (404, b"")]
        )


def asked(url: str, method: str, target: str, body: str | None = None) -> tuple[int, bytes]:
    """Status and body of one request."""
    parts = urlsplit(url)
    with closing(HTTPConnection(parts.hostname or "", parts.port, timeout=10)) as client:
        client.request(method, target, body)
        reply = client.getresponse()
        return reply.status, reply.read()
