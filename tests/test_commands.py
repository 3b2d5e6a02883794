"""Every command of both programs: help, an example that the program takes, an answer for machines, exit codes."""

from __future__ import annotations

import re
import shlex
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

import backtest.cli
import trader.cli
from tests.rig import command
from trader.core import errors
from trader.terminal import EXIT_INTERRUPTED, WIDTH, run

PROGRAMS = {"trader": trader.cli.app, "backtest": backtest.cli.app}


def leaves(words: tuple[str, ...], command: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command that does something, by the words that call it; earlier names of one are left out."""
    inside = getattr(command, "commands", None)
    if inside is None:
        yield words, command
        return
    for name, one in inside.items():
        if not one.hidden:
            yield from leaves((*words, name), one)


COMMANDS = dict(
    leaf for name, app in PROGRAMS.items() for leaf in leaves((name,), typer.main.get_command(app))
)


def options(command: Any) -> set[str]:
    """The spelling of every option."""
    return {spelling for param in command.params for spelling in param.opts if spelling.startswith("-")}


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_its_help_has_an_example_that_the_program_would_take(words: tuple[str, ...]) -> None:
    """The example calls this command, with options that it has, and values for them."""
    command = COMMANDS[words]
    text = " ".join(str(command.help).split())
    found = re.search(r"Example: (.*)$", text)
    assert found, f"{' '.join(words)} --help shows no example"
    line = found[1].split(" > ")[0]
    given = [word for word in shlex.split(line) if not re.fullmatch(r"[A-Z_]+=.*", word)]
    assert tuple(given[: len(words)]) == words
    command.make_context(" ".join(words), given[len(words) :], resilient_parsing=False)


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_it_answers_machines(words: tuple[str, ...]) -> None:
    """`--json` everywhere."""
    assert "--json" in options(COMMANDS[words])


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_option_says_what_it_is(words: tuple[str, ...]) -> None:
    """An option without a word is a riddle."""
    silent = [
        param.name
        for param in COMMANDS[words].params
        if not getattr(param, "help", None) and param.name != "help"
    ]
    assert silent == []


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_its_help_fits_eighty_columns(words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is cut off at the width of a plain terminal."""
    monkeypatch.setenv("COLUMNS", str(WIDTH))
    shown = CliRunner().invoke(PROGRAMS[words[0]], [*words[1:], "--help"]).output
    assert "Example:" in shown
    assert [line for line in shown.splitlines() if len(line) > WIDTH or "…" in line] == []


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_programs_help_names_every_exit_code(program: str) -> None:
    """Those of the errors, of an interruption, and of a bug."""
    text = str(typer.main.get_command(PROGRAMS[program]).help)
    codes = {0, 1, EXIT_INTERRUPTED} | {
        kind.exit_code
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.TraderError)
    }
    if program == "backtest":
        codes.discard(errors.Halt.exit_code)  # nothing is traded there
    assert [code for code in sorted(codes) if not re.search(rf"\b{code}\b", text)] == []


@pytest.fixture
def _sigterm_as_before() -> Iterator[None]:
    """`run` takes SIGTERM for Ctrl-C; the tests after it do not."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.usefixtures("_sigterm_as_before")
def test_ctrl_c_within_a_lock_is_ctrl_c(capsys: pytest.CaptureFixture[str]) -> None:
    """Python's own wait for a lock may end an interrupt as RuntimeError; one without an interrupt stays a bug."""

    def waiting() -> None:
        try:
            raise KeyboardInterrupt
        finally:
            threading.Lock().release()

    with pytest.raises(SystemExit) as ended:
        run(waiting)
    assert ended.value.code == EXIT_INTERRUPTED
    assert "nothing that was written is lost" in capsys.readouterr().err
    with pytest.raises(RuntimeError, match="unlocked"):
        run(threading.Lock().release)


@pytest.mark.parametrize("name", ["TRADER_VENUE_URL", "TRADER_DATA_URL", "TRADER_S3_ENDPOINT_URL"])
def test_an_address_with_a_password_is_refused_and_not_repeated(name: str, tmp_path: Path) -> None:
    """Whoever writes a key into an address finds it in no message."""
    address = "http://someone:open-sesame@127.0.0.1:8900"
    done = command("trader", "tick", cwd=tmp_path, check=False, **{"TRADER_TRACKERS": "none", name: address})
    assert done.returncode == 2
    assert "open-sesame" not in done.stdout + done.stderr
    assert name.removeprefix("TRADER_").lower() in done.stderr


@pytest.mark.parametrize(("earlier", "now"), [("reproduce-seed", "reproduce-reference")])
def test_an_earlier_name_of_a_command_still_calls_it(earlier: str, now: str) -> None:
    """With the same options, though help shows the new one alone."""
    commands: dict[str, Any] = getattr(typer.main.get_command(backtest.cli.app), "commands")  # noqa: B009  # of a group
    assert commands[earlier].hidden
    assert options(commands[earlier]) == options(commands[now])
