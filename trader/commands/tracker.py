"""Observers by hand: tell them now, fill a tracker anew, open MLflow's own pages."""

from __future__ import annotations

import subprocess
import sys
from contextlib import nullcontext
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Annotated

import typer

from trader import terminal
from trader.commands.common import (
    AsJson,
    BarsDir,
    BookFile,
    StoreDir,
    Symbol,
    Symbols,
    answer,
    settings_by_symbol,
    traded,
)
from trader.config import Settings, load_settings
from trader.core.errors import ConfigError, Retry, TraderError
from trader.core.text import plural
from trader.core.tracking import group_of
from trader.observers import builders, process
from trader.observers.names import TITLES, missing, names_of
from trader.observers.supervisor import GRACE_S
from trader.observers.turn import Turn, next_turn, turn

if TYPE_CHECKING:
    from trader.observers.delivery import Delivered

app = typer.Typer(no_args_is_help=True, help="Experiment trackers: fill one anew, open MLflow's pages.")
BOOK_PAGE = "page of the book"
WAYS = "TRADER_TRACKERS=mlflow, neptune or mlflow,neptune"


def observe(
    steps: Annotated[
        int | None,
        typer.Option(
            help="set by the process that starts this one: a file descriptor that is told which observer is served"
        ),
    ] = None,
    symbol: Symbol = None,
    book: BookFile = None,
    symbols: Symbols = None,
    store: StoreDir = None,
    bars: BarsDir = None,
    as_json: AsJson = False,
) -> None:
    """Send what is new in the journal to the experiment trackers. Every tick starts it by itself.

    Waits for its turn while another process tells them. Exit 3 if one of them failed: it hears the same next time.
    Example: trader observe
    """
    from trader import wiring
    from trader.app.cursors import read_cursor
    from trader.observers.delivery import tell_all

    settings = load_settings(symbol=symbol, book=book, symbols=symbols, store=store, bars=bars)
    names = names_of(settings)
    longest_s = settings.observer_patience_s + GRACE_S
    if steps is not None:
        process.limit_life(longest_s)
    # A child that is supervised has its supervisor's turn.
    with nullcontext(Turn()) if steps is not None else next_turn(settings.tracker_dir, longest_s) as mine:
        if mine is None:
            answer({"observers": []}, "another process tells the observers, or is about to", as_json)
            return
        heard = []
        for own in settings_by_symbol(settings):
            journal = wiring.make_journal(own)
            if "neptune" in names and read_cursor(journal, "neptune").hour_ms is None:
                terminal.say(builders.note_of(own))
            observers = [builders.make_observer(own, name) for name in names]
            said_of = process.Steps(steps, own.symbol if settings.has_book else "")
            heard += tell_all(journal, observers, terminal.say, said_of)
        heard += _notices_of_book(settings)
        if any(it.name == "page" and it.hours + it.events for it in heard):
            heard += _page_of_book(settings)
    said = [{"name": h.name, "hours": h.hours, "events": h.events, "trouble": h.trouble} for h in heard]
    words = (
        "\n".join(
            f"{h.name}: {plural(h.hours, 'hour')} and {plural(h.events, 'event')} told"
            for h in heard
            if h.hours + h.events or h.name != BOOK_PAGE
        )
        or "no observers"
    )
    answer({"observers": said}, words, as_json)
    if any(h.trouble for h in heard):
        raise SystemExit(Retry.exit_code)


def _notices_of_book(settings: Settings) -> list[Delivered]:
    """Notices of halts and resumes of the whole book, each once; nothing without a book or notices."""
    from trader.commands.book import book_journal_of
    from trader.observers.delivery import tell_all

    whole = traded(settings)
    if whole.book is None or "notices" not in names_of(settings):
        return []
    journal = book_journal_of(settings, whole.book)
    return tell_all(journal, [builders.make_observer(settings, "notices")], terminal.say)


def _page_of_book(settings: Settings) -> list[Delivered]:
    """The page of the whole book, once its symbols' own are written; nothing without a book."""
    from trader.observers.book_pages import write_book_page
    from trader.observers.delivery import Delivered

    whole = traded(settings)
    if whole.book is None or settings.page_dir is None:
        return []
    try:
        write_book_page(settings, whole.book, settings.page_dir)
    except TraderError as error:
        terminal.say(f"observer page: {error}; the next tick writes it again")
        return [Delivered(BOOK_PAGE, 0, 0, str(error))]
    return [Delivered(BOOK_PAGE, 0, 0)]


@app.command()
def rebuild(
    only: Annotated[str | None, typer.Option(help="mlflow or neptune; default: all that are set")] = None,
    symbol: Symbol = None,
    store: StoreDir = None,
    as_json: AsJson = False,
) -> None:
    """Fill a tracker from the journal, from the first hour on. What it was told before stays: the new one is a fresh experiment.

    Example: trader tracker rebuild --only mlflow
    """
    from trader import wiring
    from trader.app.cursors import next_edition, read_cursor
    from trader.core.records import Cursor
    from trader.observers.delivery import tell

    settings = load_settings(symbol=symbol, store=store, trackers=only)
    names = [name for name in names_of(settings) if name in TITLES]
    if not names:
        raise ConfigError(f"no tracker is set; use {WAYS}")
    builders.require_installed(settings)
    journal = wiring.make_journal(settings)
    told, words = [], []
    with turn(settings.tracker_dir, settings.observer_patience_s + GRACE_S) as mine:
        if mine is None:
            raise Retry("another process tells the observers at this moment; try again when it is done")
        for name in names:
            cursor = Cursor(edition=next_edition(read_cursor(journal, name)))
            observer = builders.make_observer(settings, name)
            hours = sum(heard.hours for heard in tell(journal, observer, cursor, chunk_hours=None))
            told.append({"name": name, "edition": cursor.edition, "hours": hours})
            words.append(_rebuilt(name, hours, journal.symbol, cursor.edition))
    answer({"rebuilt": told}, "\n".join(words), as_json)


def _rebuilt(name: str, hours: int, symbol: str, edition: int) -> str:
    """What was rebuilt, and under which name where the first one holds an earlier telling."""
    where = f', as "{group_of(symbol, edition)}"' if edition > 1 else ""
    return f"{TITLES[name]} rebuilt: {plural(hours, 'hour')}{where}"


@app.command()
def ui(
    port: Annotated[int, typer.Option(min=1, max=65535, help="port on loopback")] = 5000,
    as_json: AsJson = False,
) -> None:
    """Serve MLflow's own pages over the local SQLite file, on loopback, until interrupted. Needs the full mlflow. The address
    that is printed opens the bot's runs.

    Example: trader tracker ui
    """
    from trader.config import export

    settings = load_settings()
    command, environment = ui_command(settings, port)
    export(environment)
    url = f"http://127.0.0.1:{port}{_page_of_runs(settings)}"
    answer({"url": url}, f"{url} (Ctrl-C ends it)", as_json)
    try:
        done = subprocess.run(command, check=False)  # noqa: S603 - MLflow's own command line
    except KeyboardInterrupt:
        return
    if done.returncode > 0:
        raise Retry(f"MLflow's server ended with {done.returncode}; its message is above")


def _page_of_runs(settings: Settings) -> str:
    """Where the pages show the runs of the newest edition; "" for their first page where the store cannot say which that is."""
    from trader import wiring
    from trader.adapters.tracker_mlflow import MlflowBackend
    from trader.app.cursors import read_cursor

    try:
        edition = read_cursor(wiring.make_journal(settings), "mlflow").edition
    except TraderError as error:
        terminal.say(f"the store cannot say which experiment is its own ({error})")
        return ""
    return MlflowBackend(settings.tracker_dir).page_of(group_of(settings.symbol, edition))


def ui_command(settings: Settings, port: int) -> tuple[list[str], dict[str, str]]:
    """MLflow's server as a command line and what its environment needs. Raises ConfigError."""
    from trader.adapters.tracker_mlflow import SERVER_ENVIRONMENT, MlflowBackend

    try:
        version("mlflow")
    except PackageNotFoundError:
        skinny = "" if missing("mlflow") else f"=={version('mlflow-skinny')}"
        raise ConfigError(
            f"MLflow's pages need the full package: python -m pip install 'mlflow{skinny}'. "
            f"Or point TRADER_MLFLOW_URI at a server that runs elsewhere and open that"
        ) from None
    if settings.mlflow_uri:
        raise ConfigError(f"TRADER_MLFLOW_URI is set: the pages are at {settings.mlflow_uri}")
    if not (settings.tracker_dir / "mlflow.db").exists():
        raise ConfigError(
            f"{settings.tracker_dir / 'mlflow.db'} is not there yet; fill it with: trader tracker rebuild --only mlflow"
        )
    command = [
        sys.executable,
        "-m",
        "mlflow",
        "server",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--workers",
        "1",
    ]
    return [*command, "--backend-store-uri", MlflowBackend(settings.tracker_dir).uri], SERVER_ENVIRONMENT
