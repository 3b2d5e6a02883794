"""Tags for a store that was begun without a key, and the look at every tag of one that has them."""

from __future__ import annotations

from dataclasses import dataclass, field

from trader.app.layout import keys_of
from trader.app.store_care import read_all
from trader.core.errors import DataError
from trader.core.ports import Store
from trader.core.tags import SIGNED, TAGS, Signer, split
from trader.core.types import Progress


@dataclass(slots=True)
class Signed:
    """What signing did: tags made now, objects that had theirs, and those whose tag is wrong, a sentence each."""

    made: int = 0
    there: int = 0
    wrong: list[str] = field(default_factory=list)


def sign(store: Store, signer: Signer, progress: Progress | None = None, *, make: bool = True) -> Signed:
    """Give every object that decides and has no tag one at `tags/<key>`, created if absent. `store` is the one beneath the tags.

    Nothing is overwritten: an object whose tag is another's is said. make=False only looks. Safe to kill and to repeat.
    """
    done = Signed()
    keys = [key for room in SIGNED if room != "caches/" for key in keys_of(store, room)]
    tags = set(keys_of(store, TAGS))
    for key, data in read_all(store, keys, progress).items():
        content, tag = split(data)
        if not tag and TAGS + key not in tags and make:
            done.made += store.create(TAGS + key, signer.tag(key, content))
            continue
        try:
            signer.require(key, content, tag or store.get(TAGS + key) or b"")
            done.there += 1
        except DataError as error:
            done.wrong.append(str(error))
    return done
