"""`trader serve`: the bot's forecasts over HTTP."""

from __future__ import annotations

from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trader import terminal
from trader.commands.common import AsJson, BarsDir, BookFile, StoreDir, Symbol, traded
from trader.config import load_settings, traces_are_collected
from trader.core.errors import ConfigError
from trader.core.text import how_to_install
from trader.core.types import LOOPBACK

if TYPE_CHECKING:
    from trader.commands.common import Traded
    from trader.serving.bounds import Bounds
    from trader.serving.sources import Sources

PORT = 8080
# A bucket is asked less often: each look is a request that costs money.
BUCKET_REFRESH_S = 30.0


class Runtimes(StrEnum):
    """What predicts."""

    native = "native"
    onnx = "onnx"


def serve(
    host: Annotated[
        str, typer.Option(help="address to listen on; beyond loopback TRADER_SERVE_TOKEN must be set")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="port to listen on; 0 takes a free one")] = PORT,
    model: Annotated[
        str,
        typer.Option(
            help="the model that answers: champion, challenger (published, first hour still to come), or a model's id"
        ),
    ] = "champion",
    runtime: Annotated[
        Runtimes, typer.Option(help="native: the family's own library; onnx: the model's stored ONNX export")
    ] = Runtimes.native,
    check: Annotated[
        Path | None,
        typer.Option(
            help="do not serve: derive the answers in this file again from the store and compare; - is standard input"
        ),
    ] = None,
    symbol: Symbol = None,
    book: BookFile = None,
    store: StoreDir = None,
    bars: BarsDir = None,
    as_json: AsJson = False,
) -> None:
    """Serve the bot's forecasts over HTTP: POST /v1/forecast, and /v2/models for rows of features. Trades and writes nothing.

    The server loads a new champion without a restart, serves all symbols of a book, and answers open requests before it ends on
    SIGTERM. With --json the ready line is one line of JSON with the url. See docs/serving.md.
    Example: trader serve --port 8080 --json
    """
    _require_installed()
    from trader.serving.model import require_runtime
    from trader.serving.sources import open_sources

    require_runtime(runtime.value)
    whole = traded(load_settings(symbol=symbol, book=book, store=store, bars=bars), symbol)
    with open_sources(whole.settings, whole.book, terminal.say) as sources:
        if check is not None:
            _check(check, sources, as_json)
            return
        _serve(whole, sources, host, port, model, runtime, as_json)


def _require_installed() -> None:
    for name in ("fastapi", "uvicorn", "prometheus_client"):
        if find_spec(name) is None:
            raise ConfigError(f"trader serve needs {name}: {how_to_install('serve')}")


def token_for(host: str, token: str) -> str:
    """The token that callers must send. Raises ConfigError where there is none and others than this machine may call."""
    if host not in LOOPBACK and not token:
        raise ConfigError(
            f"trader serve listens on {host}, which other machines reach: set TRADER_SERVE_TOKEN (such as from: openssl rand "
            "-hex 32), which callers send as Authorization: Bearer TOKEN; or listen on 127.0.0.1"
        )
    return token


def _serve(
    whole: Traded, sources: Sources, host: str, port: int, model: str, runtime: Runtimes, as_json: bool
) -> None:
    from trader.serving import server
    from trader.serving.metrics import ServeMetrics
    from trader.serving.service import Service

    token = token_for(host, whole.settings.serve_token.get_secret_value().strip())
    tracer = None
    if traces_are_collected():
        from trader.serving.tracing import Tracer

        tracer = Tracer()
    service = Service(sources, model, runtime.value, ServeMetrics(), terminal.say, bounds_of(whole))
    with server.listen(host, port) as listener:
        url = server.address_of(listener)

        def ready() -> None:
            answers, said = service.readiness()
            symbols = list(sources.symbols)
            if as_json:
                terminal.emit(
                    {
                        "url": url,
                        "symbols": symbols,
                        "model": model,
                        "runtime": runtime.value,
                        "ready": answers,
                    }
                )
            else:
                terminal.show(f"serving {', '.join(symbols)} on {url} ({said})", flush=True)

        log = terminal.say if terminal.logs_json() else None
        server.run(service, listener, ready, token=token, log=log, tracer=tracer)


def bounds_of(whole: Traded) -> Bounds:
    """The bounds of a server; a store in a bucket is looked at less often."""
    from trader.serving.bounds import Bounds

    return Bounds() if whole.settings.bucket is None else Bounds(refresh_s=BUCKET_REFRESH_S)


def _check(path: Path, sources: Sources, as_json: bool) -> None:
    """Derive answers again. Ends with 2 where one differs."""
    from trader.serving.derive import derived, given_of

    text = typer.get_text_stream("stdin").read() if str(path) == "-" else terminal.read_text(path, "answers")
    found = [derived(given, sources) for given in given_of(text, str(path))]
    if as_json:
        terminal.emit([it.as_json() for it in found])
    else:
        for it in found:
            said = "; ".join(it.differences) or "equal, derived again from the store"
            terminal.show(terminal.paragraph(f"{it.answer.symbol} {it.answer.hour}: {said}", 2))
    if any(it.differences for it in found):
        raise ConfigError(
            "an answer differs from what the store's model predicts: it was changed, or comes from another store or other bars"
        )
