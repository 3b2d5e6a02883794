"""Where Optuna keeps studies in a database: SQLite in a file, or a PostgreSQL server. One export at a time writes to it.

No password is ever shown: what is said of a storage names its host and database.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import optuna
import sqlalchemy
from sqlalchemy.engine import URL, Engine, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, OperationalError, SQLAlchemyError

from trader.core.errors import ConfigError, Retry
from trader.core.text import how_to_install

_ANSWER_S, _TURN_S = 10, 120.0
# The name of our lock among those of a PostgreSQL server; any number that nobody else uses.
_LOCK = 7_203_114_908
_KINDS = "give sqlite:///FILE or postgresql://USER@HOST/DATABASE"
# What a person must mend; anything else that a server says may pass.
_OF_A_PERSON = (
    "authentication",
    "does not exist",
    "permission denied",
    "unable to open",
    "no password",
    "not a database",
)


@dataclass(frozen=True, slots=True)
class Storage:
    """A database by its URL."""

    url: URL

    @staticmethod
    def at(text: str) -> Storage:
        """Raises ConfigError for what is no URL of a kind that is known."""
        try:
            url = make_url(text)
        except (ArgumentError, ValueError):
            raise ConfigError(f"--storage is no URL of a database; {_KINDS}") from None
        kind = url.get_backend_name()
        if kind not in ("sqlite", "postgresql") or not url.database or url.database == ":memory:":
            raise ConfigError(f"--storage {Storage(url)} cannot keep a study; {_KINDS}")
        return Storage(url)

    def __str__(self) -> str:
        """Without user, password and options."""
        port = f":{self.url.port}" if self.url.port else ""
        return f"{self.url.drivername}://{self.url.host or ''}{port}/{self.url.database or ''}"

    @contextmanager
    def held(self) -> Iterator[optuna.storages.BaseStorage]:
        """Optuna's storage, for one export at a time; its tables are made where there are none. Raises Retry, or ConfigError
        for what a person must mend."""
        try:
            with ExitStack() as stack:
                stack.enter_context(self._turn())
                opened = optuna.storages.RDBStorage(self._text(), engine_kwargs=self._arguments())
                stack.callback(opened.engine.dispose)
                yield opened
        except (ImportError, NoSuchModuleError):
            raise ConfigError(
                f"the driver of {self.url.drivername} is not installed: {how_to_install('postgresql')}"
            ) from None
        except SQLAlchemyError as error:
            raise self._named(error) from None
        except optuna.exceptions.StorageInternalError as error:
            raise self._named(error.__cause__ or error) from None
        except RuntimeError as error:  # tables of another version of Optuna
            raise ConfigError(f"storage {self}: {error}") from None

    def _text(self) -> str:
        return self.url.render_as_string(hide_password=False)

    def _arguments(self) -> dict[str, object]:
        """Of the connection: how long to wait for an answer."""
        server = self.url.get_backend_name() == "postgresql"
        return {"connect_args": {"connect_timeout" if server else "timeout": _ANSWER_S}}

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Until nobody else exports into this database."""
        with ExitStack() as stack:
            if self.url.get_backend_name() == "sqlite":
                folder = Path(str(self.url.database)).resolve().parent
                take = stack.enter_context(_folder_lock(folder))
            else:
                engine = sqlalchemy.create_engine(self.url, **self._arguments())
                stack.callback(engine.dispose)
                take = stack.enter_context(_server_lock(engine))
            stop = time.monotonic() + _TURN_S
            while not take():
                if time.monotonic() > stop:
                    raise Retry(
                        f"another export has been writing to {self} for {_TURN_S:.0f} s; try again when it has ended"
                    )
                time.sleep(0.1)
            yield

    def _named(self, error: BaseException) -> ConfigError | Retry:
        said = str(getattr(error, "orig", None) or error)
        if self.url.password:
            said = said.replace(str(self.url.password), "***")
        said = " ".join(said.split())
        if any(it in said.lower() for it in _OF_A_PERSON) or not isinstance(error, OperationalError):
            return ConfigError(f"storage {self} cannot be used: {said}")
        return Retry(
            f"storage {self} does not answer: {said}. What was exported is there; the same command adds the rest"
        )


@contextmanager
def _folder_lock(folder: Path) -> Iterator[Callable[[], bool]]:
    """The folder that a file of SQLite lies in: SQLite's own locks are of another kind, and nothing is left behind."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise ConfigError(
            f"--storage: {folder} cannot be opened ({error.strerror}); make that folder first"
        ) from None

    def take() -> bool:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    try:
        yield take
    finally:
        os.close(handle)


@contextmanager
def _server_lock(engine: Engine) -> Iterator[Callable[[], bool]]:
    """A server forgets it with the connection, whatever becomes of this process."""
    with engine.connect() as connection:
        ask = sqlalchemy.text("SELECT pg_try_advisory_lock(:lock)")
        yield lambda: bool(connection.execute(ask, {"lock": _LOCK}).scalar())
