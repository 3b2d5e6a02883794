"""The folder store passes the contract, and survives kills, races, full disks and folders it may not use."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.contracts.store_contract import StoreContract
from trader.adapters.store_local import LocalStore
from trader.core.errors import ConfigError, DataError, Retry
from trader.core.ports import Store

HELPER = """
import os, resource, signal, sys
from pathlib import Path
from trader.adapters.store_local import LocalStore
from trader.core.errors import TraderError

def report(call):
    try:
        print("ok", call())
    except TraderError as error:
        print(type(error).__name__, error)

root = Path(sys.argv[1])
"""


def child(code: str, root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs code in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", HELPER + code, str(root), *arguments],
        capture_output=True,
        text=True,
        check=False,
    )


class TestDurable(StoreContract):
    """The store as production uses it."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> Store:
        return LocalStore(tmp_path / "new" / "store")


class TestFast(StoreContract):
    """The store as replays use it, without flushes."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> Store:
        return LocalStore(tmp_path / "store", durable=False)


def steps_of(call: str, root: Path) -> list[str]:
    """The steps that one call passes, in order."""
    seen: list[str] = []
    store = LocalStore(root, _step=seen.append)
    getattr(store, call)("a/b/key", b"new " * 50_000)
    return seen


KILLED = """
call, step, nth = sys.argv[2], sys.argv[3], int(sys.argv[4])
count = 0
def die(at):
    global count
    count += 1
    if count == nth:
        assert at == step
        os.kill(os.getpid(), signal.SIGKILL)
getattr(LocalStore(root, _step=die), call)("a/b/key", b"new " * 50_000)
"""


@pytest.mark.parametrize("call", ["create", "put"])
def test_killed_between_any_two_steps(call: str, tmp_path: Path) -> None:
    """After a kill at any step the object is absent (or the old one) or whole, a repeated call ends the work, another
    writer sees the winner, and nothing but keys is listed."""
    steps = steps_of(call, tmp_path / "dry")
    assert {"folder made", "opened", "written", "synced"} < set(steps)
    for nth, step in enumerate(steps, start=1):
        root = tmp_path / f"{nth}"
        if call == "put":
            LocalStore(root).put("a/b/key", b"old")
        done = child(KILLED, root, call, step, str(nth))
        assert done.returncode == -9, done.stderr
        store = LocalStore(root)
        found = store.get("a/b/key")
        linked = "linked" in steps[:nth] or "replaced" in steps[:nth]
        before = b"old" if call == "put" else None
        assert found == (b"new " * 50_000 if linked else before), step
        assert store.list("") == ([] if found is None else ["a/b/key"])
        if call == "create":
            assert store.create("a/b/key", b"another") is not linked
            assert store.create("a/b/key", b"new " * 50_000) is linked
        else:
            store.put("a/b/key", b"newer")
            assert store.get("a/b/key") == b"newer"


RACE = """
mine = (sys.argv[2] * 100_000).encode()
store = LocalStore(root)
print("ready", flush=True)
sys.stdin.readline()
for hour in range(20):
    print(hour, store.create(f"hour/{hour:02d}", mine))
"""


def test_processes_racing_have_one_winner_each_time(tmp_path: Path) -> None:
    """Four processes create the same twenty keys at once: one winner per key, and the object is its bytes, whole."""
    root = tmp_path / "store"
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", HELPER + RACE, str(root), letter],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for letter in "ABCD"
    ]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    answers = [racer.communicate()[0].splitlines() for racer in racers]
    for hour in range(20):
        winners = [
            letter for letter, lines in zip("ABCD", answers, strict=True) if lines[hour] == f"{hour} True"
        ]
        assert len(winners) == 1
        assert LocalStore(root).get(f"hour/{hour:02d}") == (winners[0] * 100_000).encode()


def test_torn_and_stale_temporaries_are_harmless(tmp_path: Path) -> None:
    """Half-written leftovers are never listed or read; those older than a day go, younger ones may be in use."""
    store = LocalStore(tmp_path)
    store.put("a", b"x")
    torn, stale = tmp_path / ".tmp" / "1-torn", tmp_path / ".tmp" / "1-stale"
    for path in (torn, stale):
        path.write_bytes(b"hal")
    os.utime(stale, (0, 0))
    assert store.list("") == ["a"]
    LocalStore(tmp_path).put("b", b"y")
    assert torn.exists()
    assert not stale.exists()


def test_a_swept_temporary_is_only_a_retry(tmp_path: Path) -> None:
    """A process that was stopped for a day finds its temporary gone: nothing was created, and again it goes through."""
    gone: list[Path] = []

    def sweep(step: str) -> None:
        if step == "synced" and not gone:
            gone.extend((tmp_path / ".tmp").iterdir())
            gone[0].unlink()

    store = LocalStore(tmp_path, _step=sweep)
    with pytest.raises(Retry, match="nothing was lost"):
        store.create("a", b"x")
    assert store.get("a") is None
    assert store.create("a", b"x") is True


def test_a_folder_taken_away_is_made_again(tmp_path: Path) -> None:
    """If somebody removes a folder of the store while it runs, one call is a retry and the next goes through."""
    store = LocalStore(tmp_path)
    store.create("a/b", b"x")
    (tmp_path / "a" / "b").unlink()
    (tmp_path / "a").rmdir()
    with pytest.raises(Retry):
        store.create("a/b", b"x")
    assert store.create("a/b", b"x") is True


FULL = """
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
store = LocalStore(root)
report(lambda: store.create("decision", b"x" * 5000))
report(lambda: store.put("page", b"x" * 5000))
report(lambda: store.create("decision", b"small"))
print(store.list(""), store.get("page"), os.listdir(root / ".tmp"))
"""


def test_full_disk(tmp_path: Path) -> None:
    """Where the system refuses to store more bytes, the call is a retry, the old object stays and no debris is left."""
    LocalStore(tmp_path).put("page", b"old")
    lines = child(FULL, tmp_path).stdout.splitlines()
    assert lines[0] == (
        f"Retry store: {tmp_path / 'decision'}: File too large; nothing was lost, free the disk or try again later"
    )
    assert lines[1].startswith("Retry ")
    assert lines[2:] == ["ok True", "['decision', 'page'] b'old' []"]


OTHER_USER = """
os.chdir(root)
if os.geteuid() == 0:
    os.setegid(65534)
    os.seteuid(65534)
store = LocalStore(Path("store"))
report(lambda: store.create("a/b", b"x"))
report(lambda: store.put("a/b", b"x"))
os.chdir("closed")
report(lambda: LocalStore(Path("inner")).get("a"))
report(lambda: LocalStore(Path("inner")).list(""))
"""


def test_a_folder_without_the_right_to_write(tmp_path: Path) -> None:
    """Without permission a person must act: the message names the path and the right that is needed."""
    inner = tmp_path / "closed" / "inner"
    inner.mkdir(parents=True)
    (inner / "a").write_bytes(b"x")
    inner.chmod(0o000)
    (tmp_path / "closed").chmod(0o555)
    tmp_path.chmod(0o555)
    done = child(OTHER_USER, tmp_path)
    for path in (tmp_path, tmp_path / "closed", inner):
        path.chmod(0o755)
    denied = "permission denied; give this user the right to read and write there"
    assert done.stdout.splitlines() == [
        f"ConfigError store: store/a/b: {denied}",
        f"ConfigError store: store/a/b: {denied}",
        f"ConfigError store: inner/a: {denied}",
        f"ConfigError store: inner: {denied}",
    ], done.stderr


def test_a_file_where_the_folder_should_be(tmp_path: Path) -> None:
    """A root that is a file, or lies beneath one, is a setting to correct, for every call."""
    (tmp_path / "file").write_text("x")
    for root in (tmp_path / "file", tmp_path / "file" / "beneath"):
        store = LocalStore(root)
        for call in (
            partial(store.get, "a"),
            partial(store.put, "a", b""),
            partial(store.create, "a", b""),
            partial(store.list, ""),
        ):
            with pytest.raises(ConfigError, match="a file stands where a folder must be; move it"):
                call()


def test_names_that_collide(tmp_path: Path) -> None:
    """A key beneath another object's key, or one that is a folder of keys, is refused on writing and absent on reading."""
    store = LocalStore(tmp_path)
    store.put("a", b"x")
    store.put("f/g", b"x")
    assert store.get("a/b") is None
    assert store.get("f") is None
    assert store.list("a/") == []
    for key in ("a/b", "f"):
        for call in (store.put, store.create):
            with pytest.raises(ConfigError, match="stands where"):
                call(key, b"y")
    with pytest.raises(ConfigError, match="the name is too long"):
        store.get("x" * 300)
    assert store.list("") == ["a", "f/g"]


def test_listing_opens_only_the_folders_it_needs(tmp_path: Path) -> None:
    """One hour of a deep journal is one folder opened, and a page after a key opens none of the years before."""
    store = LocalStore(tmp_path, durable=False)
    for year in (2021, 2022, 2023):
        store.put(f"journal/X/{year}/01/01T00/record", b"")
        store.put(f"journal/X/{year}/01/01T01/record", b"")
    opened: list[str] = []

    def note(event: str, arguments: tuple[object, ...]) -> None:
        if event == "os.scandir" and watching:
            opened.append(str(arguments[0]))

    watching = True
    sys.addaudithook(note)
    assert store.list("journal/X/2022/01/01T00/") == ["journal/X/2022/01/01T00/record"]
    assert len(opened) == 1
    opened.clear()
    after = "journal/X/2022/01/01T01/record"
    assert store.list("journal/X/", after=after, limit=1) == ["journal/X/2023/01/01T00/record"]
    watching = False
    assert not [path for path in opened if "/2021" in path]


def test_nothing_happens_before_the_first_call(tmp_path: Path) -> None:
    """Making the object touches no disk, and reading makes no folder."""
    store = LocalStore(tmp_path / "store")
    assert store.get("a") is None
    assert store.list("") == []
    assert not (tmp_path / "store").exists()


@pytest.mark.timeout(20)
@pytest.mark.parametrize("kind", ["pipe", "link", "dangling", "socket"])
def test_only_plain_files_are_objects(kind: str, tmp_path: Path) -> None:
    """A pipe, a link, a socket under an object's name: reading, creating and listing name it with the way out, and none waits."""
    store = LocalStore(tmp_path / "store", durable=False)
    store.create("a/b", b"1")
    (tmp_path / "secret").write_bytes(b"of somebody else")
    odd = tmp_path / "store" / "a" / "odd"
    if kind == "pipe":
        os.mkfifo(odd)
    elif kind == "socket":
        odd_socket = socket.socket(socket.AF_UNIX)
        odd_socket.bind(str(odd))
        odd_socket.close()
    else:
        odd.symlink_to(tmp_path / ("secret" if kind == "link" else "nowhere"))
    way_out = rf"{odd}: .*Remove it, and restore the object from a copy$"
    if kind != "socket":  # it cannot be opened at all
        with pytest.raises(DataError, match=way_out):
            store.get("a/odd")
        with pytest.raises(DataError, match=way_out):
            store.create("a/odd", b"x")
    for prefix in ("", "a/", "a/o"):
        with pytest.raises(DataError, match=way_out):
            store.list(prefix)
    assert store.list("a/b") == ["a/b"]
    assert store.list("", limit=1) == ["a/b"]
    store.put("a/odd", b"a page")
    assert store.get("a/odd") == b"a page"
    assert (tmp_path / "secret").read_bytes() == b"of somebody else"


@pytest.mark.parametrize("call", ["get", "list", "create", "put"])
def test_no_folder_of_a_store_is_a_link(call: str, tmp_path: Path) -> None:
    """A folder that leads elsewhere is named; nothing is read there and nothing written. The root may be a link."""
    elsewhere = tmp_path / "elsewhere" / "deep"
    elsewhere.mkdir(parents=True)
    (elsewhere / "object").write_bytes(b"of somebody else")
    (tmp_path / "store").mkdir()
    (tmp_path / "root").symlink_to(tmp_path / "store")
    store = LocalStore(tmp_path / "root", durable=False)
    assert store.create("b/object", b"1")
    (tmp_path / "store" / "a").symlink_to(tmp_path / "elsewhere")
    calls: dict[str, Callable[[], object]] = {
        "get": lambda: store.get("a/deep/object"),
        "list": lambda: store.list("a"),
        "create": lambda: store.create("a/deep/new", b"x"),
        "put": lambda: store.put("a/deep/object", b"x"),
    }
    with pytest.raises(DataError, match=rf"{tmp_path / 'root' / 'a'}: is no plain file or folder"):
        calls[call]()
    assert {it.name: it.read_bytes() for it in elsewhere.iterdir()} == {"object": b"of somebody else"}
    assert store.get("b/object") == b"1"
