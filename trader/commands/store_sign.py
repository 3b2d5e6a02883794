"""`trader store sign`: tags for a store that was begun without a key."""

from __future__ import annotations

from dataclasses import asdict

from trader import terminal
from trader.commands.common import AsJson, StoreDir, answer
from trader.config import load_settings
from trader.core.errors import ConfigError, DataError
from trader.core.tags import LEAST_CHARACTERS
from trader.core.text import plural


def sign(store: StoreDir = None, as_json: AsJson = False) -> None:
    """Tag what lies in a store that was begun without TRADER_STORE_HMAC_KEY. Overwrites nothing; stop its bot first.

    It vouches for all that is there: run `trader store verify` before, without the key. Safe to interrupt and to repeat.
    Example: trader store sign --store s3://my-bucket/bot
    """
    from trader import wiring
    from trader.app.store_sign import sign as tag

    settings = load_settings(store=store)
    signer = settings.signer
    if signer is None:
        raise ConfigError(
            f"set TRADER_STORE_HMAC_KEY in the environment: {LEAST_CHARACTERS} characters or more, from a random source, such as "
            "openssl rand -hex 32"
        )
    with terminal.progress("objects", quiet=as_json) as update:
        done = tag(wiring.make_plain_store(settings), signer, update)
    words = f"{settings.store}: {plural(done.made, 'object')} tagged now, {done.there:,} tagged before, {len(done.wrong):,} wrong"
    answer({"store": settings.store, **asdict(done)}, words, as_json)
    if done.wrong:
        raise DataError("; ".join(done.wrong[:20]))
