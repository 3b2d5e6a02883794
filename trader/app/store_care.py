"""Care for a store: copying one into another, and reading all of it to see whether it holds together."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import TypeVar

from trader.app.layout import PROBE, STORE, keys_of, require_create_if_absent
from trader.core.errors import ConfigError
from trader.core.ports import Store
from trader.core.types import Progress

# What decides: never overwritten. Events come last, behind the store's birth, and of them the deployment, so that a copy
# that was interrupted has not begun and trades nothing. Everything else is a page or a cache, and the source's is newer.
EVENTS, BEGINS = "state/", "/deployment/"
DECIDES = ("tags/", "models/", "journal/", STORE, EVENTS, BEGINS)
HANDS = 8
RACES = 3

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(slots=True)
class Synced:
    """What a copy did: objects copied, objects that were equal already, pages renewed, keys that were refused."""

    copied: int = 0
    equal: int = 0
    renewed: int = 0
    refused: list[str] = field(default_factory=list)


def sync(source: Store, target: Store, progress: Progress | None = None) -> Synced:
    """Copy every object of `source` that `target` has not. Safe to interrupt and to repeat: it goes on.

    An object that decides and is another one in `target` is refused and named; the rest is still copied, but no event,
    so that what is not whole never begins. Raises ConfigError where the two are stores of different bots, and where
    `target` does not create if absent.
    """
    ours, theirs = source.get(STORE), target.get(STORE)
    if ours is not None and theirs is not None and ours != theirs:
        raise ConfigError(
            "these are the stores of two different bots (state/store differs), which are never mixed. "
            "Choose an empty folder or prefix"
        )
    require_create_if_absent(target)
    keys = [key for key in keys_of(source) if key != PROBE and not key.startswith("probe/")]
    there = set(keys_of(target))
    done, result = 0, Synced()
    for room in ("", *DECIDES):
        todo = [key for key in keys if _room(key) == room]
        if room == STORE and result.refused:
            break
        for key, outcome in _each(todo, lambda key: (key, _carry(source, target, key, key in there))):
            _count(result, key, outcome)
            done += 1
            if progress:
                progress(done, len(keys))
    return result


def _room(key: str) -> str:
    if key.startswith(EVENTS) and BEGINS in key:
        return BEGINS
    return next((room for room in DECIDES if key.startswith(room)), "")


def _carry(source: Store, target: Store, key: str, there: bool) -> str:
    data = source.get(key)
    if data is None:
        raise ConfigError(
            f"the source has lost {key} since it was listed; nothing may be deleted from a store"
        )
    if there and target.get(key) == data:
        return "equal"
    if not _room(key):
        target.put(key, data)
        return "renewed" if there else "copied"
    return "copied" if target.create(key, data) else "refused"


def _count(result: Synced, key: str, outcome: str) -> None:
    if outcome == "refused":
        result.refused.append(key)
    else:
        setattr(result, outcome, getattr(result, outcome) + 1)


def _each(items: Iterable[Item], work: Callable[[Item], Result]) -> Iterator[Result]:
    """The work on every item, several at a time, results in order: a bucket answers slowly, but to many at once."""
    waiting = iter(items)
    with ThreadPoolExecutor(HANDS) as hands:
        while batch := list(islice(waiting, HANDS * 16)):
            yield from hands.map(work, batch)


def read_all(store: Store, keys: list[str], progress: Progress | None = None) -> dict[str, bytes]:
    """Objects by key; one that cannot be found is left out."""
    found: dict[str, bytes] = {}
    for done, (key, data) in enumerate(_each(keys, lambda key: (key, store.get(key))), start=1):
        if data is not None:
            found[key] = data
        if progress:
            progress(done, len(keys))
    return found


def prove(store: Store) -> None:
    """Raises ConfigError unless of several writers at once exactly one creates a key, whose bytes then stay."""
    require_create_if_absent(store)
    for _ in range(RACES):
        key = f"probe/race-{secrets.token_hex(4)}"
        rivals = [secrets.token_bytes(16) for _ in range(HANDS)]
        with ThreadPoolExecutor(HANDS) as hands:
            won = list(hands.map(lambda mine, key=key: store.create(key, mine), rivals))
        winners = [mine for mine, created in zip(rivals, won, strict=True) if created]
        if len(winners) != 1 or store.get(key) != winners[0]:
            raise ConfigError(
                f"{HANDS} writers at once created {key}, and {len(winners)} of them were told that they were first: this "
                "store cannot keep an hour from being traded twice. Use a folder, Amazon S3, or a server that honours "
                "If-None-Match: *"
            )
