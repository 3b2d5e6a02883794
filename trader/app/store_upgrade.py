"""A store of version 0.1.0 becomes one of this version, in place: nothing is deleted, nothing is overwritten.

    state/<name>/<number>                -> state/<symbol>/<name>/<number>    with equal numbers
    models/<id>/{model.ubj,card.json}    -> models/<id>/{model,card}
    journal/                             stays: its readers know both versions

What is written follows from what is there, so that a repeated upgrade, or two at once, write equal bytes. After its copies
come two fences, events that version 0.1.0 refuses to read: in `state/halt/`, so that no halt can be written there that
nobody would see, and as the last write of all in `state/champion/`. Only then do this version's verbs open the store. An
upgrade that is killed earlier has begun nothing: the same command goes on.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass, field

from trader.app.codec import RECORD
from trader.app.codec_events import FORMATS
from trader.app.layout import (
    OLD_NAMES,
    STORE,
    STORE_BEFORE_SYMBOLS,
    STORE_SCHEMA,
    birth_of,
    decoded,
    keys_of,
    require_create_if_absent,
)
from trader.app.stored import RESTORE, encode
from trader.core.errors import DataError, Retry, TraderError
from trader.core.model import upgraded_card
from trader.core.ports import Store
from trader.core.text import plural
from trader.core.types import Progress, iso, plain

# In this order: the champion's fence opens the store to this version.
FENCED = ("halt", "champion")
RACES = 20


@dataclass(slots=True)
class Upgraded:
    """What an upgrade did. needed: False where nothing of version 0.1.0 was to be done. created, already_there: objects that were
    written now, and that an earlier run had written. warnings: what a person should know, a sentence each."""

    symbol: str
    needed: bool = True
    models: int = 0
    events: int = 0
    created: int = 0
    already_there: int = 0
    warnings: list[str] = field(default_factory=list)


def upgrade(store: Store, symbol: str, progress: Progress | None = None) -> Upgraded:
    """Upgrade a store to this version's layout. `symbol` is whose it becomes where nothing was begun in it.

    Safe to kill between any two writes, to repeat, and to run twice at once. Raises DataError where an object is damaged
    that cannot be left behind, ConfigError where the store does not create if absent.
    """
    symbol = _deployed(store) or symbol
    if not _needed(store):
        birth_of(store, symbol)
        return Upgraded(symbol, needed=False)
    require_create_if_absent(store)
    return _Upgrade(store, symbol, progress or (lambda done, of: None)).run()


def _needed(store: Store) -> bool:
    """Whether there is something of version 0.1.0 that no fence has closed."""
    born = store.get(STORE)
    if born is None:
        return any(store.list(f"state/{name}/", limit=1) for name in OLD_NAMES)
    if decoded(STORE, born, STORE_SCHEMA, STORE_BEFORE_SYMBOLS)["schema"] == STORE_SCHEMA:
        return False
    keys = keys_of(store, "state/champion/")
    return not keys or not _is_fence(store, "champion", keys[-1])


def _is_fence(store: Store, name: str, key: str) -> bool:
    return bool(decoded(key, store.get(key) or b"", f"{name}/1", f"{name}/2")["schema"] == f"{name}/2")


def _deployed(store: Store) -> str | None:
    """The symbol that version 0.1.0 began with, None where it never did."""
    keys = keys_of(store, "state/deployment/")
    if not keys:
        return None
    symbol = decoded(keys[-1], store.get(keys[-1]) or b"", "deployment/1").get("symbol")
    if not isinstance(symbol, str) or not symbol:
        raise DataError(f"{keys[-1]}: symbol is missing. {RESTORE}")
    return symbol


class _Upgrade:
    """One run over one store."""

    def __init__(self, store: Store, symbol: str, progress: Progress) -> None:
        self.store, self.symbol, self.progress = store, symbol, progress
        self.known = {*keys_of(store, "models/"), *keys_of(store, "state/")}
        models = {key.split("/")[1] for key in self.known if _is_old_model(key)}
        self.steps = len(models) + sum(key.split("/")[1] in OLD_NAMES for key in self.known)
        self.models = sorted(models)
        self.seen: set[str] = set()  # models that were looked at
        self.copied = dict.fromkeys(OLD_NAMES, 0)  # how many events of a name
        self.result = Upgraded(symbol)

    def run(self) -> Upgraded:
        """All of it, the fence last."""
        born = {"schema": STORE_BEFORE_SYMBOLS, "id": secrets.token_hex(2), "token": secrets.token_hex(8)}
        if STORE not in self.known:
            self._create(STORE, encode(born))
        for model_id in self.models:
            self._model(model_id)
        for name in FENCED:
            self._close(name)
        self.result.warnings += _strangers(self.store, self.symbol)
        birth_of(self.store, self.symbol)
        return self.result

    def _step(self) -> None:
        done = len(self.seen) + self.result.events
        self.progress(min(done, self.steps), self.steps)

    def _create(self, key: str, data: bytes) -> bool:
        """Write an object unless it is there; False if another one is."""
        if not self.store.create(key, data):
            return False
        if key in self.known:
            self.result.already_there += 1
        else:
            self.result.created += 1
        return True

    def _model(self, model_id: str) -> None:
        """A model and its card, if both are whole; one that is not is left, and said."""
        if model_id in self.seen:
            return
        self.seen.add(model_id)
        folder = f"models/{model_id}"
        card, model = self.store.get(f"{folder}/card.json"), self.store.get(f"{folder}/model.ubj")
        try:
            made = _card(folder, card, model, self.symbol)
        except DataError as error:
            self.result.warnings.append(f"{error}. It is left as it is, and no hour can be traded with it.")
            return
        self._copy(f"{folder}/model", model or b"")
        self._copy(f"{folder}/card", made)
        self.result.models += 1
        self._step()

    def _copy(self, key: str, data: bytes) -> None:
        if not self._create(key, data):
            raise DataError(
                f"{key} is there and is not what the upgrade makes of its original. Restore the store from a copy"
            )

    def _close(self, name: str) -> None:
        """Put the fence of a name behind its last event. What an old bot appends meanwhile is copied before it, and of the other
        names too: a champion answers a breach."""
        for _ in range(RACES):
            for each in OLD_NAMES:
                self._copy_events(each)
            if self._create(f"state/{name}/{self.copied[name] + 1:06d}", _fence(name, self.symbol)):
                return
        raise Retry(f"state/{name}/: something writes events in a loop; stop every bot that uses this store")

    def _copy_events(self, name: str) -> None:
        """Copy the events of a name that were not copied yet, the fence apart."""
        keys = keys_of(self.store, f"state/{name}/")
        if name in FENCED and keys and _is_fence(self.store, name, keys[-1]):
            keys = keys[:-1]
        for number, key in enumerate(keys[self.copied[name] :], self.copied[name] + 1):
            self._event(name, number, key)
        self.copied[name] = len(keys)

    def _event(self, name: str, number: int, key: str) -> None:
        if key != (wanted := f"state/{name}/{number:06d}"):
            raise DataError(f"{wanted} is missing although {key} is there; restore it from a copy")
        data = FORMATS[name].upgraded(key, self.store.get(key) or b"", self.symbol)
        if name == "champion":
            self._model(json.loads(data)["model_id"])
        self._copy(f"state/{self.symbol}/{name}/{number:06d}", data)
        self.result.events += 1
        self._step()


def _is_old_model(key: str) -> bool:
    return key.startswith("models/") and key.endswith(("/model.ubj", "/card.json"))


def _fence(name: str, symbol: str) -> bytes:
    """The last event of a name in the old layout."""
    words = (
        f"This store was upgraded by trader store upgrade: its events lie beneath state/{symbol}/ now, and version 0.1.0 "
        "must not go on here. Stop it and start the newer version"
    )
    return encode({"schema": f"{name}/2", "symbols": [symbol], "words": words})


def _card(folder: str, card: bytes | None, model: bytes | None, symbol: str) -> bytes:
    """The card of an old model as this version keeps it. Raises DataError."""
    if card is None or model is None:
        raise DataError(f"{folder} is incomplete in the store")
    return upgraded_card(card, model, folder.removeprefix("models/"), symbol, f"{folder}/card.json")


def _strangers(store: Store, symbol: str) -> list[str]:
    """A sentence for each other symbol whose hours lie in the store: version 0.1.0 let any symbol trade with its models."""
    said, after = [], ""
    while page := store.list("journal/", after=after, limit=1):
        other = page[0].split("/")[1]
        after = f"journal/{other}0"  # behind every key of it: "0" follows "/"
        if other != symbol:
            said.append(_left(store, symbol, other))
    return said


def _left(store: Store, symbol: str, other: str) -> str:
    keys = keys_of(store, f"journal/{other}/")
    hours = len({key.rpartition("/")[0] for key in keys})
    records = [key for key in keys if key.endswith("/record")]
    held = f"what they held of {other} cannot be read"
    try:
        if records:
            newest = RECORD.decode(records[-1], store.get(records[-1]) or b"", other)
            ledger = newest.totals.state.ledger
            held = (
                f"after {iso(newest.close_time)} they held {plain(ledger.position)} of {other}'s base asset and "
                f"{plain(ledger.cash)} in cash"
            )
    except TraderError:
        pass
    return (
        f"{plural(hours, f'hour of {other} lies', f'hours of {other} lie')} in this store, traded by the models of {symbol}: "
        f"{held}. They are left where they are, and no bot counts them any more: look at the account, and sell what is there by "
        f"hand. A model that was trained for {other} here is taken for one of {symbol}: compare trader models list."
    )
