"""MLflow: an SQLite file with a folder of artifacts beside it, or a tracking server over HTTP."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trader.core.errors import ConfigError, Retry
from trader.core.tracking import Point, Title, require_within

if TYPE_CHECKING:
    from mlflow import MlflowClient

# For the library, before it is imported: it reports to nobody, and a dead server costs seconds instead of minutes.
ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "GIT_PYTHON_REFRESH": "quiet",
}
# MLflow's own server starts job workers unless told otherwise: ten processes instead of two.
SERVER_ENVIRONMENT = {**ENVIRONMENT, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
# What one request may carry, by MLflow's own limits.
BATCH_METRICS, BATCH_SETTINGS = 1000, 100
LONGEST_WORDS = 300
KEY_TAG = "hourly_trader.key"
# MLflow opens an experiment as one of language models, on traces that are not there, unless told otherwise: earlier
# pages by the experiment's tag, those of 3.17 by their address only.
KIND_TAG, KIND = "mlflow.experimentKind", "custom_model_development"
AS_MODELS = "?workflowType=machine_learning"
INSTALL = "python -m pip install 'hourly-trader[mlflow]'"


class MlflowBackend:
    """Runs in an MLflow tracking store. A run is found by a tag, so that what was noted before is gone on with."""

    name = "mlflow"

    def __init__(self, folder: Path, uri: str | None = None) -> None:
        self._folder = folder.absolute()
        self._uri = uri
        self._client: MlflowClient | None = None

    @property
    def uri(self) -> str:
        """Where the runs are kept."""
        return self._uri or f"sqlite:///{self._folder / 'mlflow.db'}"

    @contextmanager
    def run(self, title: Title) -> Iterator[MlflowRun]:
        """The run whose tag is the title's key. Files are uploaded when the context ends."""
        with self._in_words():
            client = self._connected()
            run_id = self._find(client, self._experiment(client, title.group), title)
            with tempfile.TemporaryDirectory(prefix="trader-mlflow-") as folder:
                yield MlflowRun(client, run_id, Path(folder))
                if any(Path(folder).iterdir()):
                    client.log_artifacts(run_id, folder)
            if title.finished:
                client.set_terminated(run_id, end_time=title.began)

    @contextmanager
    def _in_words(self) -> Iterator[None]:
        """What MLflow and its database refuse, in their own words. Raises ConfigError for a file that a person must move or mend,
        Retry for a server."""
        foreign = _foreign()
        try:
            yield
        except foreign as error:
            said = " ".join(str(error).split())[:LONGEST_WORDS] or type(error).__name__
            if self._uri:
                raise Retry(f"tracker mlflow: {self._uri}: {said}") from None
            raise ConfigError(
                f"tracker mlflow: {self._folder / 'mlflow.db'}: {said}. If another program has it open, wait; else move the "
                "file aside, and: trader tracker rebuild --only mlflow"
            ) from None

    def page_of(self, group: str) -> str:
        """What follows a server's address to the page that shows this group's runs; the list of all where it has none."""
        found = self._connected().get_experiment_by_name(group)
        return f"/#/experiments{f'/{found.experiment_id}' if found else ''}{AS_MODELS}"

    def _connected(self) -> MlflowClient:
        if self._client is None:
            try:
                import sqlalchemy  # noqa: F401 - the skinny client needs it for SQLite and does not say so
                from mlflow import MlflowClient
            except ImportError as error:
                raise ConfigError(f"tracker mlflow: {error.name} is not installed; {INSTALL}") from None
            _quiet()
            if not self._uri:
                self._folder.mkdir(parents=True, exist_ok=True)
                _require_database(self._folder / "mlflow.db")
            self._client = MlflowClient(self.uri, self.uri)
        return self._client

    def _experiment(self, client: MlflowClient, name: str) -> str:
        found = client.get_experiment_by_name(name)
        if found is not None:
            if KIND_TAG not in found.tags:
                client.set_experiment_tag(found.experiment_id, KIND_TAG, KIND)
            return str(found.experiment_id)
        place = None if self._uri else (self._folder / "mlflow-artifacts" / name.replace(" ", "-")).as_uri()
        return str(client.create_experiment(name, artifact_location=place, tags={KIND_TAG: KIND}))

    def _find(self, client: MlflowClient, experiment: str, title: Title) -> str:
        wanted = f"tags.`{KEY_TAG}` = '{title.key}'"
        found = client.search_runs(
            [experiment], wanted, order_by=["attributes.start_time ASC"], max_results=1
        )
        if found:
            return str(found[0].info.run_id)
        run: Any = client.create_run(
            experiment, start_time=title.began, tags={KEY_TAG: title.key}, run_name=title.name
        )
        return str(run.info.run_id)


class MlflowRun:
    """One run. MLflow keeps equal values of a step once, and refuses a setting that changes."""

    def __init__(self, client: MlflowClient, run_id: str, folder: Path) -> None:
        self._client, self._run_id, self._folder = client, run_id, folder

    def settings(self, values: Mapping[str, str]) -> None:
        """As MLflow's params."""
        from mlflow.entities import Param

        params = [Param(key, value) for key, value in values.items()]
        for first in range(0, len(params), BATCH_SETTINGS):
            self._client.log_batch(self._run_id, params=params[first : first + BATCH_SETTINGS])

    def series(self, points: Sequence[Point]) -> None:
        """As MLflow's metrics."""
        from mlflow.entities import Metric

        metrics = [Metric(point.name, point.value, point.time_ms, point.step) for point in points]
        for first in range(0, len(metrics), BATCH_METRICS):
            self._client.log_batch(self._run_id, metrics=metrics[first : first + BATCH_METRICS])

    def file(self, path: str, data: bytes) -> None:
        """As an artifact, kept back until the run's context ends."""
        require_within(path)
        target = self._folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)


def _require_database(path: Path) -> None:
    """Raises sqlite3's own error for a file that is none: MLflow would try it again for twenty seconds."""
    if path.exists():
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as database:
            database.execute("SELECT count(*) FROM sqlite_master").fetchone()


def _foreign() -> tuple[type[Exception], ...]:
    """What MLflow and the libraries beneath it raise; none where it is not installed."""
    try:
        from alembic.util.exc import CommandError
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError
    except ImportError:
        return (sqlite3.Error,)
    return sqlite3.Error, MlflowException, SQLAlchemyError, CommandError


def _quiet() -> None:
    """Schema migrations are no news to whoever reads a tick's output."""
    import logging

    for name in ("alembic", "mlflow"):
        logging.getLogger(name).setLevel(logging.WARNING)
