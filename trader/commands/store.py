"""Care for the store: copying one into another, reading all of it, repairing it, upgrading one of an earlier version."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trader import terminal
from trader.commands.common import AsJson, BookFile, StoreDir, Symbol, Symbols, Traded, traded
from trader.commands.store_sign import sign
from trader.config import load_settings
from trader.core.errors import DataError
from trader.core.text import plural, visible

if TYPE_CHECKING:
    from trader.app.store_check import StoreCheck

app = typer.Typer(
    no_args_is_help=True, help="Care for the store: copy it, check it, repair it, upgrade it, tag it."
)
app.command()(sign)
SHOWN = 20


@app.command()
def sync(
    source: Annotated[str, typer.Argument(metavar="FROM", help="a folder or s3://bucket/prefix")],
    target: Annotated[str, typer.Argument(metavar="TO", help="a folder or s3://bucket/prefix")],
    as_json: AsJson = False,
) -> None:
    """Copy what TO lacks from FROM, and overwrite nothing that decides. Safe to interrupt and to repeat.

    Exit 2 and the keys' names where TO holds something else. Example: trader store sync state s3://my-bucket/bot
    """
    from trader import wiring
    from trader.app.store_care import sync as copy

    with terminal.progress("objects", quiet=as_json) as update:
        done = copy(
            wiring.make_plain_store(load_settings(store=source)),
            wiring.make_plain_store(load_settings(store=target)),
            update,
        )
    said = {"copied": done.copied, "equal": done.equal, "renewed": done.renewed, "refused": done.refused}
    if as_json:
        terminal.emit(said)
    else:
        terminal.show(
            f"{source} -> {target}: {done.copied:,} copied, {done.equal:,} there already, {plural(done.renewed, 'page')} renewed"
        )
    if done.refused:
        raise DataError(
            f"{plural(len(done.refused), 'object differs', 'objects differ')} in {target}, and no event was copied: "
            f"{_some(done.refused)}. The histories of two bots are never mixed: choose an empty folder or prefix"
        )


@app.command()
def verify(
    symbol: Symbol = None,
    book: BookFile = None,
    symbols: Symbols = None,
    store: StoreDir = None,
    as_json: AsJson = False,
) -> None:
    """Read everything and say what does not hold together. Proves on the real store that it creates if absent.

    Of a book every symbol, and what the book said of each hour; with --symbol one of them. Exit 2 with every problem and its
    place. Example: trader store verify --store s3://my-bucket/bot
    """
    from trader import wiring
    from trader.app.store_check import check

    settings = load_settings(symbol=symbol, book=book, symbols=symbols, store=store)
    if settings.signer is not None:
        from trader.app.store_sign import sign as look

        wrong = look(wiring.make_plain_store(settings), settings.signer, make=False).wrong
        if wrong:  # nothing of what follows would be read
            raise DataError(
                f"{plural(len(wrong), 'object')} of {settings.store} cannot be trusted: {_some(wrong)}"
            )
    whole = Traded(settings) if symbol is not None and book is None else traded(settings, symbol)
    with terminal.progress("objects", quiet=as_json) as update:
        if whole.book is None:
            found = check(wiring.make_journal(whole.settings), update)
            checks = {whole.settings.symbol: found}
        else:
            from trader.app.book_store_check import check_book

            checks = check_book(wiring.make_journals(settings, whole.book.params), update)
    said = {name: _check_json(it) for name, it in checks.items()}
    if as_json:
        terminal.emit(said if whole.book else next(iter(said.values())))
    else:
        for name, it in checks.items():
            _show_check(name, settings.store, it)
    if any(it.problems for it in checks.values()):
        raise DataError(
            f"{settings.store} does not hold together. trader store repair makes again what follows from other "
            "objects; restore the "
            "rest of what is named above from a copy"
        )


def _check_json(found: StoreCheck) -> dict[str, Any]:
    return {
        "objects": found.objects,
        "hours": found.hours,
        "models": found.models,
        "open_hour": found.open_hour,
        "problems": found.problems,
    }


def _show_check(name: str, store: str, found: StoreCheck) -> None:
    for problem in found.problems:
        terminal.show(visible(problem))
    opened = f"; {found.open_hour} is open, the next tick closes it" if found.open_hour else ""
    terminal.show(
        f"{name} in {store}: {plural(found.hours, 'hour')}, {plural(found.objects, 'object')}, "
        f"{plural(found.models, 'model')}, {plural(len(found.problems), 'problem')}{opened}"
    )


@app.command()
def repair(symbol: Symbol = None, store: StoreDir = None, as_json: AsJson = False) -> None:
    """Make again what follows from other objects: damaged records, events, outcomes, an open hour's decision, a lost model.

    What was damaged is kept under damaged/. Nothing is sent; safe to repeat. Asks the venue. Example: trader store repair
    """
    from trader import wiring
    from trader.app.store_repair import repair as mend
    from trader.commands.check import certifier_of

    settings, done = load_settings(symbol=symbol, store=store), list[str]()
    with wiring.open_bot(settings) as bot:
        for said in mend(bot, certifier_of(settings, bot)):
            done.append(said)
            if not as_json:
                terminal.show(visible(said))
    if as_json:
        terminal.emit({"store": settings.store, "repaired": done})
    else:
        terminal.show(
            f"{settings.symbol} in {settings.store}: {len(done):,} repaired. Then: trader store verify"
        )


@app.command()
def upgrade(symbol: Symbol = None, store: StoreDir = None, as_json: AsJson = False) -> None:
    """Bring a store of version 0.1.0 to this version's layout, in place. Deletes and overwrites nothing. Stop its bots first.

    Safe to interrupt and to repeat. The store belongs to the symbol that it began with; `--symbol` counts only where
    nothing was begun. Example: trader store upgrade --store s3://my-bucket/bot
    """
    from trader import wiring
    from trader.app.store_upgrade import upgrade as bring

    settings = load_settings(symbol=symbol, store=store)
    with terminal.progress("objects", quiet=as_json) as update:
        done = bring(wiring.make_store(settings), settings.symbol, update)
    if as_json:
        terminal.emit({"store": settings.store, **asdict(done)})
    elif not done.needed:
        terminal.show(f"{settings.store}: nothing to upgrade")
    else:
        counts = ("models", "events", "created", "already_there")
        rows = [(name.replace("_", " "), f"{getattr(done, name):,}") for name in counts]
        terminal.show(terminal.table(f"{done.symbol} in {settings.store}: upgraded", rows))
    for warning in done.warnings:
        terminal.say(warning, "warning")


def _some(keys: list[str]) -> str:
    more = f" and {len(keys) - SHOWN:,} more" if len(keys) > SHOWN else ""
    return ", ".join(keys[:SHOWN]) + more
