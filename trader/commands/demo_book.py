"""`trader demo --book`: many symbols on one account, offline, in one command."""

from __future__ import annotations

import json
import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING

from trader import terminal
from trader.commands.common import started_as
from trader.core.errors import ConfigError
from trader.core.text import plural
from trader.core.types import iso

if TYPE_CHECKING:
    from trader.adapters.book_file import BookFile
    from trader.config import Settings


def demo_book(bars: str | None, folder: Path, seed: int, as_json: bool) -> None:
    """Collect, train and trade a book into `folder`, and write its page. Raises ConfigError."""
    from trader.commands.book_replay import show_summary
    from trader.simulation import book_rehearsal
    from trader.simulation import demo_book as script
    from trader.simulation.demo import clean

    began = time.perf_counter()
    made = script.demo_book(bars, seed)
    clean(folder)
    book = script.write_book(folder, list(made.bars))
    replayed, settings = script.trade(made, book, folder, as_json)
    summary = book_rehearsal.summary_of(replayed, book.params.capital_usdt)
    page = _page(settings, book, folder / "page")
    summary |= {
        "market": made.market,
        "book": book.name,
        "store": settings.store,
        "page": page,
        "seconds": round(time.perf_counter() - began, 3),
    }
    (folder / "summary.json").write_text(json.dumps(summary, indent=1))
    if as_json:
        terminal.emit(summary)
        return
    title = (
        f"{plural(len(made.bars), 'symbol')}, {iso(made.first)[:10]} to {iso(made.last)[:10]} ({made.market})"
    )
    show_summary(summary, title)
    said = [*([f"the page: {page}"] if page else []), "next:"]
    for line in [*said, *next_commands(book, settings.store)]:
        terminal.say(line)


def _page(settings: Settings, book: BookFile, folder: Path) -> str | None:
    """Write the page of the book: its address, None where its libraries are not installed."""
    from trader.observers import book_pages

    try:
        page = book_pages.write_pages(settings, book, folder)
    except ConfigError as error:
        terminal.say(f"no page: {error}")
        return None
    return page.resolve().as_uri()


def next_commands(book: BookFile, store: str) -> list[str]:
    """What to type next in this folder: a line each, what it tells and the command."""
    where = f"{book.option} --store {shlex.quote(store)}"
    one = f"--symbol {book.params.symbols[0]} --store {shlex.quote(store)}"
    rows = (
        ("how the book stands", f"status {where}"),
        ("every hour of it", f"journal {where}"),
        ("why a symbol's hour went so", f"explain {one}"),
    )
    return [f"  {what:<29}{started_as()} {verb}" for what, verb in rows]
