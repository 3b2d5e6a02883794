"""What every store must do. A test module subclasses `StoreContract` and provides the fixture `store`."""

from __future__ import annotations

import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.examples import share_of
from trader.core.errors import ConfigError
from trader.core.ports import Store

BAD_KEYS = [
    "",
    "/a",
    "a/",
    "a//b",
    "..",
    "a/../b",
    ".",
    "a/.b",
    ".tmp/x",
    "a b",
    "a\nb",
    "a\0b",
    "ä",
    "a\\b",
    "a:b",
]
# The examples of one test share a store, and each subclass runs the same test: both are meant.
SHARED = [HealthCheck.function_scoped_fixture, HealthCheck.differing_executors]
# Names around "/" in the order of characters: "-" and "." sort before it, digits and letters after.
names = st.text("-.0aA_=", min_size=1, max_size=3).filter(lambda name: not name.startswith("."))
keys = st.lists(names, min_size=1, max_size=3).map("/".join)


def without_nesting(found: list[str]) -> list[str]:
    """Drops keys that lie beneath another key: a folder cannot hold both, and no code here makes both."""
    return [key for key in found if not any(key.startswith(f"{other}/") for other in found)]


class StoreContract:
    """The tests that every implementation of the port passes."""

    def test_absent_objects_are_none(self, store: Store) -> None:
        """Reading what is not there is an answer, not an error."""
        assert store.get("a") is None
        assert store.get("a/b/c") is None
        assert store.list("") == []
        assert store.list("a/b") == []

    @pytest.mark.parametrize("data", [b"", b"x", b"\0\n\xff" * 1000, bytes(2_000_000)])
    def test_bytes_come_back_as_they_went(self, store: Store, data: bytes) -> None:
        """Objects of any bytes and any size are read back equal, whichever way they were written."""
        store.put("put/it", data)
        assert store.create("create/it", data) is True
        assert store.get("put/it") == store.get("create/it") == data

    def test_put_overwrites(self, store: Store) -> None:
        """A put replaces the object as a whole."""
        for data in (b"long and old", b"new"):
            store.put("k", data)
            assert store.get("k") == data

    def test_create_never_overwrites(self, store: Store) -> None:
        """The first writer's object stays; another writer is told so."""
        assert store.create("a/b", b"first") is True
        assert store.create("a/b", b"second") is False
        assert store.create("a/b", b"") is False
        assert store.get("a/b") == b"first"

    def test_create_may_be_repeated_by_its_own_writer(self, store: Store) -> None:
        """The same bytes again mean the same writer, whose first reply was lost: it did create the object."""
        assert store.create("a/b", b"token 1") is True
        assert store.create("a/b", b"token 1") is True
        assert store.create("a/b", b"token 2") is False
        assert store.create("a/b", b"token 1") is True

    def test_create_after_put_sees_the_object(self, store: Store) -> None:
        """Whoever wrote it, an object that is there is not created again."""
        store.put("k", b"put")
        assert store.create("k", b"create") is False
        assert store.get("k") == b"put"

    def test_one_of_many_threads_wins(self, store: Store) -> None:
        """Eight writers at once: one True, and its bytes are the object."""
        barrier = threading.Barrier(8)
        answers: dict[int, bool] = {}

        def write(writer: int) -> None:
            barrier.wait()
            answers[writer] = store.create("race/decision", b"writer %d" % writer * 1000)

        threads = [threading.Thread(target=write, args=(writer,)) for writer in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        winners = [writer for writer, won in answers.items() if won]
        assert len(answers) == 8
        assert len(winners) == 1
        assert store.get("race/decision") == b"writer %d" % winners[0] * 1000

    def test_lists_are_sorted_and_cut(self, store: Store) -> None:
        """Keys come sorted as whole texts, after a key, by prefix and by number; pages join without loss."""
        written = ["a/b", "a-b", "a.b", "a0", "b/c/d", "b/c-d", "b/cc", "journal/X/2022/01/01T00/record"]
        for key in written:
            store.put(key, b"x")
        assert store.list("") == sorted(written)
        assert store.list("a") == ["a-b", "a.b", "a/b", "a0"]
        assert store.list("a/") == ["a/b"]
        assert store.list("b/c") == ["b/c-d", "b/c/d", "b/cc"]
        assert store.list("journal/X/2022/01/01T00/rec") == ["journal/X/2022/01/01T00/record"]
        assert store.list("a", after="a.b") == ["a/b", "a0"]
        assert store.list("", after="b/c/d", limit=1) == ["b/cc"]
        assert store.list("", after="zzz") == []
        assert store.list("", limit=2) == ["a-b", "a.b"]

    @given(found=st.lists(keys, max_size=12), prefix=keys, after=keys, limit=st.integers(1, 5))
    @settings(max_examples=share_of(60), suppress_health_check=SHARED, deadline=None)
    def test_lists_equal_the_obvious_ones(
        self, store: Store, found: list[str], prefix: str, after: str, limit: int
    ) -> None:
        """For any keys, prefix, start and limit, the listing is what sorting all keys would give."""
        known = store.list("", limit=100_000)
        for key in found:
            if key not in known and len(without_nesting([*known, key])) == len(known) + 1:
                store.put(key, b"x")
                known.append(key)
        for start in (prefix, prefix[:-1], prefix.rpartition("/")[0], ""):
            wanted = sorted(key for key in known if key.startswith(start) and key > after)
            assert store.list(start, after=after, limit=limit) == wanted[:limit], start

    @pytest.mark.parametrize("key", BAD_KEYS)
    def test_bad_keys_are_refused(self, store: Store, key: str) -> None:
        """Keys that could leave the store, hide or differ between implementations are refused everywhere."""
        for call in (store.get, lambda k: store.put(k, b"x"), lambda k: store.create(k, b"x")):
            with pytest.raises(ConfigError, match=r"is no key of the store; a key is made of"):
                call(key)
        assert store.list("") == []

    def test_an_empty_page_is_refused(self, store: Store) -> None:
        """A limit below 1 would make a loop over pages run forever."""
        with pytest.raises(ConfigError, match="ask for 1 or more"):
            store.list("", limit=0)
