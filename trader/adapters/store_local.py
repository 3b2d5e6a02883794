"""The store as a folder: each object is a file, written aside and linked into place whole."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

from trader.adapters.keys import SEGMENT, require_key, require_page
from trader.core.errors import ConfigError, DataError, Retry, TraderError
from trader.plain_file import NotPlainError, read_plain

_TEMPORARY = ".tmp"  # no segment begins with a dot, so no key can lie in it
_STALE_S = 86_400.0
# A person must act on these. Everything else (disk full, I/O, too many open files) may pass, and every call here is
# safe to repeat.
_FOR_A_PERSON = {
    errno.EROFS: "the file system is read-only; mount it writable or choose another folder",
    errno.EACCES: "permission denied; give this user the right to read and write there",
    errno.EPERM: "not permitted; choose a folder on a file system with hard links that this user may write to",
    errno.EOPNOTSUPP: "the file system knows no hard links; choose a folder on another one",
    errno.EXDEV: "parts of the store lie on different file systems; keep the store on one",
    errno.ENOTDIR: "a file stands where a folder must be; move it or choose another folder",
    errno.EEXIST: "a file stands where a folder must be; move it or choose another folder",
    errno.EISDIR: "a folder stands where an object must be; move it or choose another key",
    errno.ENAMETOOLONG: "the name is too long for this file system; use shorter keys",
    errno.ELOOP: "symbolic links run in a circle; choose another folder",
}


def _no_step(_: str) -> None:
    """What happens between two steps in production: nothing. Crash tests end the process here."""


class LocalStore:
    """Objects under one folder of one file system, safe for many processes at once.

    Bytes are written to `<root>/.tmp`, flushed to the disk, then linked or renamed to their name: under its name an
    object is whole or absent, whenever the process dies. durable=False leaves out the flushes, for replays.
    Objects are plain files in plain folders: anything else, such as a pipe that would never end or a symbolic link that leads to
    files of others, is a DataError that names it. Only the root itself may be a link.
    Every method raises ConfigError for an unusable key or folder and Retry for a full disk or an I/O error.
    """

    def __init__(self, root: Path, *, durable: bool = True, _step: Callable[[str], None] = _no_step) -> None:
        self.root = Path(root)
        self._durable = durable
        self._step = _step
        self._settled: set[Path] = set()  # folders that are known to exist and to survive a power cut
        self._plain = {self.root}  # folders that are known to be no links
        self._swept = False

    def get(self, key: str) -> bytes | None:
        """The object, or None where there is none."""
        path = self._path(key)
        try:
            self._require_plain(path.parent)
            return read_plain(path, follow=False)
        except (FileNotFoundError, IsADirectoryError):
            return None
        except NotADirectoryError as error:
            if self.root.is_dir():  # another object's name is a part of this key
                return None
            raise _translated(error, path) from None
        except OSError as error:
            raise _translated(error, path) from None

    def put(self, key: str, data: bytes) -> None:
        """Writes or overwrites; readers see the old object or the whole new one."""
        path = self._path(key)
        with self._writing(path, data) as temporary:
            temporary.replace(path)
            self._step("replaced")
            self._sync(path.parent)

    def create(self, key: str, data: bytes) -> bool:
        """True if the object holds exactly these bytes because of this call or of an earlier try of the same writer
        (who puts a random token into the bytes); False if another writer's object is there. Never overwrites; safe
        to repeat after any error and after a kill."""
        path = self._path(key)
        with self._writing(path, data) as temporary:
            try:
                os.link(temporary, path)
            except FileExistsError:
                created = read_plain(path, follow=False) == data
            else:
                created = True
            self._step("linked")
            # Also where the name was taken: its writer may have died before this, and the caller will build on it.
            self._sync(path.parent)
        return created

    def list(self, prefix: str, after: str = "", limit: int = 1000) -> list[str]:
        """Keys that begin with `prefix` and sort after `after`, sorted, at most `limit`. Opens only the folders that
        can hold them."""
        require_page(prefix, limit)
        folder = prefix.rpartition("/")[0]
        try:
            return [*islice(self._walk(f"{folder}/" if folder else "", prefix, after), limit)]
        except OSError as error:
            raise _translated(error, self.root / folder) from None

    def _walk(self, base: str, prefix: str, after: str) -> Iterator[str]:
        """In the order of whole keys: a folder sorts as its name with the `/`, since `a-b` comes before `a/b`."""
        try:
            with os.scandir(self.root / base) as entries:
                found = [entry for entry in entries if SEGMENT.fullmatch(entry.name)]
                folders = {f"{base}{entry.name}/" for entry in found if entry.is_dir(follow_symlinks=False)}
                files = {f"{base}{entry.name}" for entry in found if entry.is_file(follow_symlinks=False)}
                others = (
                    {f"{base}{entry.name}" for entry in found} - {key.rstrip("/") for key in folders} - files
                )
        except FileNotFoundError:
            return
        except NotADirectoryError:
            if base and self.root.is_dir():
                return
            raise
        for key in sorted(folders | files | others):
            if not key.endswith("/"):
                if key.startswith(prefix) and key > after:
                    if key in others:
                        raise _not_plain(self.root / key)
                    yield key
                continue
            fits = key.startswith(prefix) or prefix.startswith(key)
            if fits and (key > after or after.startswith(key)):
                yield from self._walk(key, prefix, after)

    def _require_plain(self, folder: Path) -> None:
        """Raises DataError where a folder of the store is a symbolic link, FileNotFoundError where it is not there. Looks at
        each folder once per process."""
        if folder not in self._plain:
            self._require_plain(folder.parent)
            if stat.S_ISLNK(folder.lstat().st_mode):
                raise _not_plain(folder)
            self._plain.add(folder)

    def _path(self, key: str) -> Path:
        require_key(key)
        return self.root / key

    @contextlib.contextmanager
    def _writing(self, path: Path, data: bytes) -> Iterator[Path]:
        """A temporary file with these bytes on the disk, and the folder of `path`; removed again on the way out."""
        temporary = self.root / _TEMPORARY / f"{os.getpid()}-{secrets.token_hex(8)}"
        try:
            self._settle(temporary.parent)
            self._settle(path.parent)
            try:
                with temporary.open("xb") as file:
                    self._step("opened")
                    file.write(data)
                    file.flush()
                    self._step("written")
                    if self._durable:
                        os.fsync(file.fileno())
                self._step("synced")
                self._sweep(temporary)
                yield temporary
                self._step("settled")
            finally:
                temporary.unlink(missing_ok=True)
            self._step("removed")
        except OSError as error:
            self._settled.clear()
            self._plain = {self.root}  # a folder may have been taken away; look again next time
            raise _translated(error, path) from None

    def _settle(self, folder: Path) -> None:
        """Makes a folder and, once per process, flushes its name: its maker may have died before it could."""
        if folder in self._settled:
            return
        if folder == self.root:
            folder.mkdir(parents=True, exist_ok=True)
        else:
            self._settle(folder.parent)
            folder.mkdir(exist_ok=True)
            self._require_plain(folder)
        self._sync(folder.parent)
        self._step("folder made")
        self._settled.add(folder)

    def _sync(self, folder: Path) -> None:
        if not self._durable:
            return
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def _sweep(self, newest: Path) -> None:
        """Once per process, removes what killed processes left a day ago. Age is taken from the files' own stamps: the
        process's clock may be another one. Leftovers are harmless, so a failure here is none."""
        if self._swept:
            return
        self._swept = True
        with contextlib.suppress(OSError):
            now = newest.stat().st_mtime
            for leftover in newest.parent.iterdir():
                with contextlib.suppress(OSError):
                    if leftover.stat().st_mtime < now - _STALE_S:
                        leftover.unlink()


def _not_plain(path: Path) -> DataError:
    return DataError(
        f"store: {path}: is no plain file or folder but a symbolic link, a pipe, a socket or a device; somebody "
        "else put it there. "
        "Remove it, and restore the object from a copy"
    )


def _translated(error: OSError, path: Path) -> TraderError:
    if isinstance(error, NotPlainError) or (error.errno == errno.ELOOP and path.is_symlink()):
        return _not_plain(path)
    way_out = _FOR_A_PERSON.get(error.errno or 0)
    if way_out:
        return ConfigError(f"store: {path}: {way_out}")
    reason = error.strerror or str(error)
    return Retry(f"store: {path}: {reason}; nothing was lost, free the disk or try again later")
