"""Objects of a store that are read although they may be damaged, and put in the place of damaged ones."""

from __future__ import annotations

from typing import Any

from trader.app.bot import Bot
from trader.app.stored import Format
from trader.core.errors import DataError, OtherSymbol


def put(bot: Bot, key: str, data: bytes) -> None:
    """Put an object in the place of a damaged one, which is kept where it can be read at all."""
    there = raw(bot, key)
    if there:
        bot.journal.store.put(f"damaged/{key}", there)
    bot.journal.store.put(key, data)


def raw(bot: Bot, key: str) -> bytes | None:
    """The bytes of an object, None where there is none; empty where the store does not believe them, as one with a wrong tag."""
    try:
        return bot.journal.store.get(key)
    except DataError:
        return b""


def read(bot: Bot, form: Format[Any], key: str) -> tuple[Any, bool]:
    """The object, and whether something is there that is none. Raises OtherSymbol."""
    data = raw(bot, key)
    if data is None:
        return None, False
    try:
        return form.decode(key, data, bot.symbol), False
    except OtherSymbol:
        raise
    except DataError:
        return None, True
