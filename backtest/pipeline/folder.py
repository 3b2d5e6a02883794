"""A pipeline's folder.

    lock             held by the process that runs
    journal.jsonl    a line a finished stage: its key and what it follows from, its outputs by their hashes; appended and flushed
    objects/         outputs by the SHA-256 of their content, never changed
    code/            what code a stage reached, definition by definition, by the hash of all of it
    current/         the newest outputs by stage, as links to objects
    records/         the same of stages that run by themselves (--stage), a file each; taken into the journal by the next run
    manifests/       a numbered JSON a run: everything that reproduces it
    work/            what unfinished stages have kept
    refused/         what a stage found of a model that it refuses, until it refuses none
    cache/           what need not be read again; may be removed
    index.html       the graph

An output is there before its line, so a line that a crash cut short is a stage that has not finished.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import secrets
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from backtest.pipeline.record import Record
from backtest.study.results_folder import ResultsFolder
from trader.core.errors import ConfigError, DataError

_CHUNK = 1 << 20
# A stage that runs by itself may be making one: it takes milliseconds.
_A_LINK_TAKES_S = 600
_PAGES = (".html", ".htm", ".svg")


class CannotWrite(ConfigError):
    """The pipeline's folder cannot be written: no other stage can be kept either."""


class PipelineFolder(ResultsFolder):
    """One pipeline's folder. Only its holder writes, the cache apart."""

    named, option, work, unit = "pipeline folder ", "[pipeline] out", "written", "stage"

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._alone, self._root = True, str(path)

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Turn an OSError of the block into CannotWrite, which says the way out."""
        try:
            yield
        except (FileExistsError, NotADirectoryError) as error:
            raise CannotWrite(self._in_the_way(Path(error.filename or self.path))) from None
        except OSError as error:
            raise CannotWrite(
                f"pipeline folder {self.path} cannot be written: {error.strerror or error}. Stages that have finished are kept: "
                f"make room or correct the folder's permissions; the same command then goes on"
            ) from None

    def _in_the_way(self, place: Path) -> str:
        """What stands where a folder belongs: the place, or one above it."""
        found = next((it for it in (place, *place.parents) if it.is_symlink() or it.exists()), place)
        what = "a file" if found.exists() else f"a link to {found.readlink()}, which is not there,"
        if found in (self.path, *self.path.parents):
            return (
                f"pipeline folder {self.path} cannot be made: {what} is in its place. Move it away, or name another folder as "
                "[pipeline] out"
            )
        return f"pipeline folder {self.path} cannot be written: {what} is in the place of the folder {found}. Move it away"

    @contextmanager
    def shared(self) -> Iterator[None]:
        """For processes that run a stage each, beside one another; not beside one that runs the pipeline. Raises Retry while
        there is such a one."""
        with self._locked(fcntl.LOCK_SH):
            self._alone = False
            try:
                yield
            finally:
                self._alone = True

    def records(self) -> list[Record]:
        """What has ever finished here, oldest first. Raises DataError for a damaged line."""
        return [*(Record.of_json(row) for row in self.lines()), *self._single(self._single_files())]

    def _single_files(self) -> list[Path]:
        return sorted(self.path.glob("records/*.json"))

    def _single(self, files: Sequence[Path]) -> list[Record]:
        """Of stages that ran by themselves since the newest line of the journal, oldest first."""
        found = []
        for path in files:
            try:
                found.append(Record.of_json(json.loads(path.read_bytes())))
            except FileNotFoundError:  # a run that has begun meanwhile took it into the journal
                continue
            except (OSError, ValueError, DataError) as error:
                raise DataError(f"{path} cannot be read ({error}). Remove it: its stage runs again") from None
        return sorted(found, key=lambda it: it.at)

    def mend(self) -> None:
        """Cut off a line that a crash left unfinished, remove such links, and take in what single stages have finished."""
        self.ended()
        with self.errors():
            for link in self.path.glob(".link-*"):
                if time.time() - link.lstat().st_mtime > _A_LINK_TAKES_S:
                    link.unlink(missing_ok=True)
        files = self._single_files()
        self.append_lines([it.as_json() for it in self._single(files)])
        with self.errors():
            for path in files:
                path.unlink()

    def finished(self, record: Record) -> None:
        """Note a finished stage: a line, or beside other processes a file of its own."""
        if self._alone:
            self.append_lines([record.as_json()])
        else:
            self._put(
                self.path / "records" / f"{record.key[:40]}.json", json.dumps(record.as_json()).encode()
            )

    def keep(self, data: bytes) -> str:
        """Keep an output; its SHA-256. What is there is compared, and made again where it was changed."""
        name = hashlib.sha256(data).hexdigest()
        path = self.object(name)
        if not (path.is_file() and sha256_of(path) == name):
            self._put(path, data)
        return name

    def _put(self, path: Path, data: bytes) -> None:
        unfinished = path.with_name(f"{path.name}.{secrets.token_hex(4)}.tmp")
        with self.errors():
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                with unfinished.open("wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                unfinished.chmod(0o444)
                unfinished.replace(path)
            except BaseException:
                unfinished.unlink(missing_ok=True)
                raise

    def object(self, name: str) -> Path:
        """Where an output lies."""
        return Path(self.place_of(name))

    def place_of(self, name: str) -> str:
        """The same as text, for who asks after thousands."""
        return f"{self._root}/objects/{name[:2]}/{name}"

    def read_object(self, name: str) -> bytes:
        """An output. Raises DataError where it is lost or was changed."""
        path = self.object(name)
        try:
            data = path.read_bytes()
        except OSError as error:
            raise DataError(f"{path} cannot be read ({error.strerror}); run the pipeline again") from None
        if hashlib.sha256(data).hexdigest() != name:
            raise DataError(f"{path} was changed while the pipeline ran; run it again, and it is made again")
        return data

    def link_of(self, job: str, output: str) -> Path:
        """Where a person finds an output."""
        return Path(self.link_place(job, output))

    def link_place(self, job: str, output: str) -> str:
        """The same as text."""
        return f"{self._root}/current/{job}/{output}"

    def target_of(self, job: str, output: str, name: str) -> str:
        """What the link there says. Chromium takes a file's type from the name that a link leads to, so pages keep theirs."""
        depth = f"{job}/{output}".count("/") + 1
        return f"{'../' * depth}objects/{name[:2]}/{name}{page_ending(output)}"

    def link(self, job: str, outputs: Mapping[str, str]) -> None:
        """Make a stage's outputs the newest ones. Safe to repeat."""
        for output, name in outputs.items():
            link, target = self.link_of(job, output), self.target_of(job, output, name)
            self._name_page(name, page_ending(output))
            if link.is_symlink() and os.readlink(link) == target:  # noqa: PTH115  # as it stands, not resolved
                continue
            # Elsewhere, so that a kill leaves nothing in what a person reads.
            unfinished = self.path / f".link-{secrets.token_hex(4)}"
            with self.errors():
                link.parent.mkdir(parents=True, exist_ok=True)
                if link.is_dir() and not link.is_symlink():
                    shutil.rmtree(link)
                unfinished.symlink_to(target)
                unfinished.replace(link)

    def _name_page(self, name: str, ending: str) -> None:
        """The same file under a name with its ending, for a page."""
        path, page = self.object(name), self.object(name + ending)
        if page.exists() and page.samefile(path):
            return
        unfinished = page.with_name(f"{page.name}.{secrets.token_hex(4)}.tmp")
        with self.errors():
            unfinished.hardlink_to(path)
            unfinished.replace(page)

    def keep_code(self, digest: str, code: Mapping[str, str]) -> None:
        """What a stage reached, to say later what has changed."""
        path = self.path / "code" / f"{digest}.json"
        if not path.exists():
            self._put(path, json.dumps(dict(code)).encode())

    def code(self, digest: str) -> dict[str, str]:
        """The same; {} where it is lost."""
        try:
            told = json.loads((self.path / "code" / f"{digest}.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return told if isinstance(told, dict) else {}

    def work_of(self, key: str) -> Path:
        """A folder of a stage's own."""
        path = self.path / "work" / key[:32]
        with self.errors():
            path.mkdir(parents=True, exist_ok=True)
        return path

    def done_with(self, job: str, key: str) -> None:
        """Remove it, and what the job refused before."""
        for path in (self.path / "work" / key[:32], self.path / "refused" / job):
            with suppress(OSError):
                shutil.rmtree(path)

    def keep_refused(self, job: str, files: Mapping[str, bytes]) -> Path:
        """Findings of a job that ends with a refusal, for people: they are outputs of nothing. The folder that they are in."""
        folder = self.path / "refused" / job
        for name, data in files.items():
            self._put(folder / name, data)
        return folder

    def cache(self, name: str) -> Path | None:
        """A file of the cache; None where no folder can be made for it."""
        folder = self.path / "cache"
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            return None
        return folder / name

    def manifests(self) -> list[Path]:
        """By number, oldest first. Raises ConfigError where they cannot be listed: what they name must not seem forgotten."""
        folder = self.path / "manifests"
        try:
            found = [folder / it for it in os.listdir(folder)]  # noqa: PTH208  # a glob is silent where it may not look
        except FileNotFoundError:
            return []
        except OSError as error:
            raise ConfigError(f"{folder} cannot be read: {error.strerror}. Correct its permissions") from None
        return sorted(
            (it for it in found if it.suffix == ".json" and it.stem.isdigit()), key=lambda it: int(it.stem)
        )

    def forget_work(self) -> None:
        """Remove what unfinished stages have kept, once all have finished."""
        with suppress(OSError):
            for path in (self.path / "work").iterdir():
                shutil.rmtree(path)

    def write_manifest(self, content: Mapping[str, Any]) -> Path:
        """The next number."""
        before = self.manifests()
        number = int(before[-1].stem) + 1 if before else 1
        with self.errors():
            (self.path / "manifests").mkdir(parents=True, exist_ok=True)
        self.write(f"manifests/{number}.json", json.dumps({**content, "number": number}, indent=1) + "\n")
        return self.path / "manifests" / f"{number}.json"


def page_ending(output: str) -> str:
    """The ending of an output that a browser shows by its ending, "" of any other."""
    return next((it for it in _PAGES if output.endswith(it)), "")


def sha256_of(path: Path) -> str:
    """Of a file's content. Raises ConfigError where it cannot be read."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None
    return digest.hexdigest()
