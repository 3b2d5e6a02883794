"""Every command of both programs: help, an example that the program takes, an answer for machines, exit codes."""

from __future__ import annotations

import json
import re
import shlex
import signal
import threading
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.core import TyperOption
from typer.testing import CliRunner

import backtest.cli
import trader.cli
from tests.support.rig import command
from trader.config import Settings
from trader.core import errors
from trader.terminal import EXIT_INTERRUPTED, WIDTH, run

PROGRAMS = {"trader": trader.cli.asked(()), "backtest": backtest.cli.asked(())}


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


@pytest.mark.parametrize("verb", ["run", "doctor"])
def test_a_verb_that_reads_a_schedule_knows_every_verb(verb: str) -> None:
    """Any command may stand in a schedule; other verbs import themselves alone."""
    whole = typer.main.get_command(trader.cli.asked((verb,)))
    assert set(getattr(whole, "commands", ())) == set(trader.cli.PROGRAM.verbs)


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
    commands: dict[str, Any] = getattr(typer.main.get_command(PROGRAMS["backtest"]), "commands")  # noqa: B009  # of a group
    assert commands[earlier].hidden
    assert options(commands[earlier]) == options(commands[now])


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_version_is_told(program: str, capsys: pytest.CaptureFixture[str]) -> None:
    """`--version` of either program, whatever the settings are."""
    PROGRAMS[program](["--version"], standalone_mode=False)
    assert capsys.readouterr().out == f"hourly-trader {version('hourly-trader')}\n"


def values_of(words: tuple[str, ...]) -> list[str]:
    """The options of a verb that take one value."""
    params = [it for it in COMMANDS[words].params if isinstance(it, TyperOption)]
    return [it.opts[0] for it in params if not (it.is_flag or it.multiple or it.count)]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_an_option_is_given_once(words: tuple[str, ...]) -> None:
    """No verb lets a second value silently win, `--bars` among them; the same value twice is no question."""
    for option in values_of(words):
        with pytest.raises(
            errors.ConfigError, match=rf"{option} is given twice, as 'a' and 'b'; .* reads one"
        ):
            COMMANDS[words].make_context("it", [option, "a", f"{option}=b"])


def test_an_earlier_spelling_is_read_and_not_told() -> None:
    """`--data` was the folder of collected bars, which every verb calls --bars now."""
    with pytest.raises(errors.ConfigError, match="--bars is given twice, as 'a' and 'b'"):
        PROGRAMS["trader"](["tick", "--data", "a", "--bars", "b"], standalone_mode=False)
    assert "--data" not in options(COMMANDS["trader", "tick"])
    assert "--bars" in options(COMMANDS["trader", "tick"])


CONFIGURED = {
    "TRADER_VENUE": "testnet",
    "TRADER_API_KEY": "canary-key",
    "TRADER_API_SECRET": "canary-secret",
    "TRADER_ELSEWHERE": "1",
}


def test_config_tells_every_setting_and_its_source(tmp_path: Path) -> None:
    """Value and source of each, what follows from the venue too, secrets masked, within 80 columns."""
    (tmp_path / "trader.toml").write_text('bot = "toml"\nsymbol = "ETHUSDT"\ntrackers = "none"\n')
    done = command("trader", "config", "--store", "s3://bucket/c", cwd=tmp_path, check=True, **CONFIGURED)
    rows = {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines()}
    assert rows["bot"] == ["toml", "trader.toml"]
    assert rows["symbol"] == ["ETHUSDT", "trader.toml"]
    assert rows["venue"] == ["testnet", "environment"]
    assert rows["store"] == ["s3://bucket/c", "option"]
    assert rows["price_band"] == ["0.2", "default"]
    assert rows["api_key"] == ["********", "environment"]
    assert rows["venue_url"] == ["https://testnet.binance.vision", "default"]
    assert set(Settings.model_fields) < set(rows)
    assert "canary" not in done.stdout + done.stderr
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "no setting is called TRADER_ELSEWHERE; it is ignored" in done.stdout


def test_config_names_each_fault(tmp_path: Path) -> None:
    """Two values that are wrong and a name that is none, all at once; exit 2. What is wrong together is found as well."""
    wrong = {"TRADER_TIMEOUT_S": "x", "TRADER_SYMBOL": "btc", "TRADER_ORDERS_PER_DAY": "3"}
    done = command("trader", "config", "--json", cwd=tmp_path, check=False, **wrong)
    told = json.loads(done.stdout)
    assert done.returncode == 2
    assert [fault.split()[0] for fault in told["faults"]] == ["symbol:", "timeout_s:", "environment:"]
    assert {"name": "timeout_s", "value": 15.0, "source": "default (environment is wrong)"} in told[
        "settings"
    ]
    (tmp_path / "bars").write_text("")
    together = {"TRADER_VENUE": "demo", "TRADER_BARS": "bars", "TRADER_TRACKERS": "none"}
    done = command("trader", "config", cwd=tmp_path, check=False, **together)
    assert done.returncode == 2
    assert "venue demo needs TRADER_API_KEY" in done.stderr
    assert "bars is a file, not a folder" in done.stderr


def test_a_name_that_no_setting_has_is_said_by_every_verb(tmp_path: Path) -> None:
    """One that resembles a setting is refused instead, by a tick too."""
    done = command("trader", "status", cwd=tmp_path, check=False, TRADER_ELSEWHERE="1")
    assert "no setting is called TRADER_ELSEWHERE; it is ignored" in done.stderr
    done = command("trader", "tick", cwd=tmp_path, check=False, TRADER_LARGEST_ORDER="100")
    assert done.returncode == 2
    assert "did you mean TRADER_LARGEST_ORDER_USDT?" in done.stderr
