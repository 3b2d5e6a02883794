"""Neptune: files of its offline mode, or a server of one's own. The hosted service closed on 2026-03-05."""

from __future__ import annotations

import base64
import contextlib
import json
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from trader.core.errors import ConfigError
from trader.core.text import how_to_install
from trader.core.tracking import Point, Title, require_within

# For the library, before it is imported: without it a dead server is waited for a minute.
ENVIRONMENT = {"NEPTUNE_RETRIES_TIMEOUT": "3"}
CLOSED = (
    "Neptune's hosted service closed on 2026-03-05: runs are written as files of its offline mode, unless a project and "
    "token of a server of your own are set"
)
INSTALL = how_to_install("neptune")
# What the client accepts as an id of a run.
LONGEST_ID = 36
QUIET: dict[str, Any] = {
    "capture_hardware_metrics": False,
    "capture_stdout": False,
    "capture_stderr": False,
    "capture_traceback": False,
    "git_ref": False,
    "source_files": [],
}


class NeptuneBackend:
    """Runs of the neptune client, beneath `folder`. Offline each opening makes a folder of its own under
    `.neptune/offline`; at a server all openings of one title are one run."""

    name = "neptune"

    def __init__(self, folder: Path, project: str | None = None, token: str = "") -> None:
        self._folder = folder.absolute()
        self._project, self._token = project, token
        if bool(project) != bool(token):
            raise ConfigError(
                "tracker neptune: a server needs both TRADER_NEPTUNE_PROJECT and TRADER_NEPTUNE_TOKEN"
            )
        if token:
            _require_own_server(token)

    @contextmanager
    def run(self, title: Title) -> Iterator[NeptuneRun]:
        """A run that is written when the context ends. A server that does not answer leaves offline files, which
        `neptune sync` can send later."""
        kept = NeptuneRun()
        yield kept
        self._folder.mkdir(parents=True, exist_ok=True)
        with contextlib.chdir(self._folder):  # the client writes below the current folder and nowhere else
            run = self._open(title)
            try:
                run["deployment"] = title.group
                run["sys/tags"].add([title.group, title.key])
                kept.write(run)
                run.wait()
            finally:
                run.stop()

    def _open(self, title: Title) -> Any:
        # The optional check of URIs in JSON schemas is half of the client's import time, and nothing here uses it.
        sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]  # None says "not found"
        try:
            import neptune
            from neptune.common.exceptions import NeptuneException
        except ImportError as error:
            raise ConfigError(f"tracker neptune: {error.name} is not installed; {INSTALL}") from None
        _quiet()
        named: dict[str, Any] = {"name": title.name, "custom_run_id": run_id(title.key), **QUIET}
        if self._project:
            with contextlib.suppress(NeptuneException):
                return neptune.init_run(project=self._project, api_token=self._token, mode="async", **named)
        return neptune.init_run(mode="offline", **named)


class NeptuneRun:
    """What a run is to hold: `settings` as fields under `parameters`, `series` under `metrics`, files by their path."""

    def __init__(self) -> None:
        self._settings: dict[str, str] = {}
        self._series: dict[str, list[Point]] = defaultdict(list)
        self._files: dict[str, bytes] = {}

    def settings(self, values: Mapping[str, str]) -> None:
        """Facts that do not change."""
        self._settings.update(values)

    def series(self, points: Sequence[Point]) -> None:
        """Values by step. A server takes a step once: later values of it are left out."""
        for point in points:
            self._series[point.name].append(point)

    def file(self, path: str, data: bytes) -> None:
        """A file; one of the same path is replaced."""
        require_within(path)
        self._files[path] = data

    def write(self, run: Any) -> None:
        """Everything into an open run. Bytes of files are copied into the run's own folder at once."""
        from neptune.types import File

        for key, value in self._settings.items():
            run[f"parameters/{key}"] = value
        for name, points in self._series.items():
            run[f"metrics/{name}"].extend(
                [point.value for point in points],
                steps=[point.step for point in points],
                timestamps=[point.time_ms / 1000 for point in points],
            )
        for path, data in self._files.items():
            extension = PurePosixPath(path).suffix.lstrip(".")
            field = (
                path.removesuffix(f".{extension}") + f"_{extension}"
            )  # a chart's image and page are two fields
            run[field].upload(File.from_content(data, extension=extension))


def run_id(key: str) -> str:
    """A title's key, or its hash where the client would not accept its length."""
    return key if len(key) <= LONGEST_ID else sha256(key.encode()).hexdigest()[:LONGEST_ID]


def _require_own_server(token: str) -> None:
    try:
        address = json.loads(base64.b64decode(token))["api_address"]
        host = urlsplit(address).hostname or ""
    except (ValueError, KeyError, TypeError):
        raise ConfigError("tracker neptune: TRADER_NEPTUNE_TOKEN is not a Neptune API token") from None
    if host == "neptune.ai" or host.endswith(".neptune.ai"):
        raise ConfigError(f"tracker neptune: the token is for {host}. {CLOSED}")


def _quiet() -> None:
    import logging

    logging.getLogger("neptune").setLevel(logging.WARNING)
