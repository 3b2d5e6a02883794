"""The bot on moto's server: parity, exactly once, restore, counted requests."""

from __future__ import annotations

from tests.contracts.bucket_contract import BotContract, RaceContract


class TestRace(RaceContract):
    """Creating at once."""


class TestBot(BotContract):
    """The whole bot."""
