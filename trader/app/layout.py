"""Whose a store is, and by which version it is laid out: seen once, before anything is read, written or sent.

    state/store                       an id, and the symbols that the store belongs to: made at birth, never again
    state/<symbol>/<name>/<number>    the events of one symbol

Version 0.1.0 knew one symbol, which nothing compared: its events lie at `state/<name>/<number>`, and its `state/store`
names none. `trader store upgrade` leaves all of that where it is and appends one last event there, the fence, which names
the symbols and which that version refuses to read.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from trader.app.stored import RESTORE, encode
from trader.core.errors import ConfigError, DataError, Retry, WrongStore
from trader.core.ports import Store
from trader.core.tags import require_untagged
from trader.core.types import Json

STORE = "state/store"
# In place of a symbol, in the keys of what a whole book says.
BOOK = "_book"
STORE_SCHEMA, STORE_BEFORE_SYMBOLS = "store/2", "store/1"
OLD_NAMES = ("breach", "champion", "deployment", "halt", "study")
FENCE = "champion/2"
PROBE = "probe/create-if-absent"
PAGE = 1000


@dataclass(frozen=True, slots=True)
class StoreIdentity:
    """Whose a store is. store_id: four characters, they stand in every client order id. symbols: that it belongs to now; those of
    a book may have been changed `changes` times since its birth, when they were `born_with`. former: those of before."""

    store_id: str
    symbols: tuple[str, ...]
    born_with: tuple[str, ...] = ()
    former: tuple[str, ...] = ()
    changes: int = 0


def require_create_if_absent(store: Store) -> None:
    """Raises ConfigError unless the store leaves an object alone that is there: a server that ignores the condition
    of a creating PUT would let every writer believe that it was first. Leaves one small object, the same each time."""
    for _ in range(2):
        mine = encode({"schema": "probe/1", "token": secrets.token_hex(8)})
        created = store.create(PROBE, mine)
    if created:
        raise ConfigError(
            "the store overwrites what was to be created only if absent, so two processes could trade one hour twice. "
            "Use a folder, Amazon S3, or a server that honours If-None-Match: *"
        )


def keys_of(store: Store, prefix: str = "") -> list[str]:
    """All keys that begin with `prefix`, sorted."""
    found: list[str] = []
    while True:
        page = store.list(prefix, after=found[-1] if found else "", limit=PAGE)
        found += page
        if len(page) < PAGE:
            return found


def birth_of(store: Store, symbol: str) -> StoreIdentity | None:
    """The identity of a store that belongs to `symbol`, None before it is created. Raises WrongStore where it belongs to others
    or where an earlier version laid it out, DataError where it is damaged. Reads one object, in an upgraded store two
    more."""
    data = store.get(STORE)
    if data is None:
        data = _created_meanwhile(store)
    if data is None:
        return None
    content = decoded(STORE, data, STORE_SCHEMA, STORE_BEFORE_SYMBOLS)
    said = content if content["schema"] == STORE_SCHEMA else _fence(store)
    symbols = said.get("symbols")
    if not isinstance(content.get("id"), str) or not isinstance(symbols, list) or not symbols:
        raise DataError(f"{STORE} does not say whose this store is. {RESTORE}")
    born_with = tuple(map(str, symbols))
    lists = [born_with, *(_changes(store) if len(born_with) > 1 else [])]
    former = tuple(sorted({it for listed in lists for it in listed} - set(lists[-1])))
    if symbol not in (*lists[-1], *former) and not (symbol == BOOK and len(born_with) > 1):
        raise WrongStore(
            f"this store belongs to {', '.join(lists[-1])}; give {symbol} another --store (or TRADER_STORE)"
        )
    return StoreIdentity(content["id"], lists[-1], born_with, former, len(lists) - 1)


def changes_key(number: int) -> str:
    """Where a change of a book's symbols lies."""
    return f"state/{BOOK}/symbols/{number:06d}"


def _changes(store: Store) -> list[tuple[str, ...]]:
    """The lists of symbols that a book's was changed to, oldest first. Raises DataError for one that cannot be read."""
    lists: list[tuple[str, ...]] = []
    while (data := store.get(key := changes_key(len(lists) + 1))) is not None:
        symbols = decoded(key, data, "symbols/2").get("symbols")
        if not isinstance(symbols, list) or len(symbols) < 2:
            raise DataError(f"{key} does not name the symbols of a book. {RESTORE}")
        lists.append(tuple(map(str, symbols)))
    return lists


def give_birth(store: Store, symbol: str, book: Sequence[str] = ()) -> StoreIdentity:
    """The birth of a store, which belongs to `symbol` from now on, or to all symbols of its `book`. Of two at once one wins.
    Raises as `birth_of`, and ConfigError where the store does not create if absent."""
    if birth := birth_of(store, symbol):
        return birth
    require_create_if_absent(store)
    token = secrets.token_hex(8)
    owners = sorted(book) or [symbol]
    content = {"schema": STORE_SCHEMA, "token": token, "id": secrets.token_hex(2), "symbols": owners}
    store.create(STORE, encode(content))
    if birth := birth_of(store, symbol):
        return birth
    raise Retry(f"{STORE} is listed in the store and cannot be read yet")


def needs_upgrade() -> WrongStore:
    """The error of every verb in a store that an earlier version laid out."""
    return WrongStore(
        "this store was written by version 0.1.0, which kept events and models elsewhere in it. Stop every bot that uses it, "
        "then run: trader store upgrade"
    )


def _created_meanwhile(store: Store) -> bytes | None:
    """What says whose the store is, where another process has written it since it was looked for; None where there is no
    event either. Raises where there are events without it."""
    first = next(iter(store.list("state/", limit=1)), None)
    if first is None:
        return None
    if first.split("/")[1] in OLD_NAMES:
        raise needs_upgrade()
    if (data := store.get(STORE)) is not None:
        return data
    raise DataError(f"{STORE} is missing although {first} is there; restore it from a copy")


def _fence(store: Store) -> Json:
    """The last event of the old layout. Raises WrongStore where it is not there yet."""
    keys = keys_of(store, "state/champion/")
    data = store.get(keys[-1]) if keys else None
    content = {} if data is None else decoded(keys[-1], data, FENCE, "champion/1")
    if content.get("schema") != FENCE:
        raise needs_upgrade()
    return content


def decoded(key: str, data: bytes, *schemas: str) -> Json:
    """The JSON object of these bytes. Raises DataError unless it is of one of these schemas."""
    try:
        content = json.loads(data)
    except (ValueError, RecursionError):
        content = None
    if content is None:
        require_untagged(key, data)
    if not isinstance(content, dict) or content.get("schema") not in schemas:
        raise DataError(f"{key} does not hold {' or '.join(map(repr, schemas))}. {RESTORE}")
    return content
