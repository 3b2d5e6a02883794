"""FastAPI that answers constants: `python fastapi_side.py TAPE`, in an environment that has FastAPI and uvicorn.

Every method and path of the tape (`tape.py`) gets a route that returns the body which stands there; the address is printed
when the server listens. Knows nothing of this project.
"""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import uvicorn
from fastapi import FastAPI, Response


def app_of(lines: list[str]) -> FastAPI:
    """A route for each method and path."""
    app = FastAPI()
    for line in lines:
        told = json.loads(line)
        body = told["answer"].partition("\r\n\r\n")[2].encode("latin-1")

        app.add_api_route(told["target"].partition("?")[0], constant(body), methods=[told["method"]])
    return app


def constant(body: bytes) -> Callable[[], Awaitable[Response]]:
    """A handler that returns these bytes."""

    async def answer() -> Response:
        return Response(body, media_type="application/json")

    return answer


def main() -> None:
    """Serve until the process is ended."""
    listener = socket.create_server(("127.0.0.1", 0))
    print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    config = uvicorn.Config(
        app_of(Path(sys.argv[1]).read_text().splitlines()), log_level="error", access_log=False
    )
    uvicorn.Server(config).run([listener])


if __name__ == "__main__":
    main()
