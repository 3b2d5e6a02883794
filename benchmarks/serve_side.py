"""FastAPI that echoes a JSON body, as plainly as its tutorial does: `python serve_side.py`. Knows nothing of this project."""

from __future__ import annotations

import socket
from typing import Any

import uvicorn
from fastapi import FastAPI

app = FastAPI()


@app.post("/echo")
async def echo(body: dict[str, Any]) -> dict[str, Any]:
    """The body."""
    return body


def main() -> None:
    """Serve until the process is ended; the address is printed when it listens."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # as the other side does
    uvicorn.Server(uvicorn.Config(app, loop="asyncio", log_level="error", access_log=False)).run([listener])


if __name__ == "__main__":
    main()
