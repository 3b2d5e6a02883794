"""`trader dashboard`: the page that tells in ten seconds whether the bot is well."""

from __future__ import annotations

import io
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from trader import terminal
from trader.commands.common import AsJson, BookFile, StoreDir, Symbol, Symbols, answer, traded
from trader.config import Settings, load_settings

if TYPE_CHECKING:
    from trader.adapters.book_file import BookFile as BookOfFile


def dashboard(
    out: Annotated[Path, typer.Option("--out", help="folder of the page and its figure library")] = Path(
        "dashboard"
    ),
    public: Annotated[
        bool, typer.Option("--public", help="leave out amounts, quantities and the account")
    ] = False,
    link: Annotated[
        str | None,
        typer.Option(
            help="put the page into the bucket instead of a folder, and print a link that is valid this long, such as 12h"
        ),
    ] = None,
    serve: Annotated[
        bool, typer.Option("--serve", help="serve the folder on loopback until interrupted")
    ] = False,
    port: Annotated[int, typer.Option(min=0, max=65535, help="port of --serve; 0 picks a free one")] = 8910,
    symbol: Symbol = None,
    book: BookFile = None,
    symbols: Symbols = None,
    store: StoreDir = None,
    as_json: AsJson = False,
) -> None:
    """Write the dashboard from the store: a page that needs no server and no network. Of a book one page of the whole, and beside
    it one of each symbol.

    Example: trader dashboard --store s3://my-bucket/bot --link 12h
    """
    from trader import wiring
    from trader.observers import page_links, pages

    settings = load_settings(symbol=symbol, book=book, symbols=symbols, store=store)
    if symbol is None:
        whole = traded(settings)
        settings = whole.settings
        if whole.book is not None:
            _dashboard_book(settings, whole.book, out, link, public, as_json)
            if serve and link is None:
                _serve(out, port, as_json)
            return
    journal = wiring.make_journal(settings)
    if link is not None:
        address = page_links.share(journal, settings, link, public=public)
        answer({"link": address}, address, as_json)
        return
    page = pages.write_page(journal, settings, out, public=public)
    if not serve:
        answer({"page": str(page)}, f"the page: {page.resolve().as_uri()}", as_json)
        return
    _serve(out, port, as_json)


def _dashboard_book(
    settings: Settings, book: BookOfFile, out: Path, link: str | None, public: bool, as_json: bool
) -> None:
    from trader.observers import book_pages

    if link is not None:
        address = book_pages.share_book(settings, book, link, public=public)
        answer({"link": address}, address, as_json)
        return
    page = book_pages.write_pages(settings, book, out, public=public)
    answer({"page": str(page)}, f"the page: {page.resolve().as_uri()}", as_json)


def _serve(folder: Path, port: int, as_json: bool) -> None:
    """On loopback, to who asks for loopback; files of the folder alone, wherever a link in it points."""
    from functools import partial
    from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

    from trader.exchange.wire import asked_here

    class Handler(SimpleHTTPRequestHandler):
        timeout = 10  # seconds for a client to say what it wants

        def send_head(self) -> io.BytesIO | BinaryIO | None:
            if not asked_here(self.headers.get("Host", ""), self.headers.get("Origin", "")):
                self.send_error(HTTPStatus.FORBIDDEN, "Only this machine may ask")
                return None
            if not Path(self.translate_path(self.path)).resolve().is_relative_to(folder.resolve()):
                self.send_error(HTTPStatus.NOT_FOUND)
                return None
            return super().send_head()

    handler = partial(Handler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", port), handler) as server:
        url = f"http://127.0.0.1:{server.server_port}/"
        if as_json:
            terminal.emit({"url": url})
        else:
            terminal.show(f"the page: {url} (Ctrl-C ends it)", flush=True)
        server.serve_forever()
