"""A heartbeat: an address that is called after each good hour. When the calls stop, whoever watches it says so."""

from __future__ import annotations

from trader.core.errors import Retry
from trader.core.news import News
from trader.observers.messages import is_good

PATIENCE_S = 5.0


class Heartbeat:
    """An observer that calls an address once for news that hold a good hour. The call carries nothing about the bot."""

    name = "heartbeat"

    def __init__(self, address: str) -> None:
        self._address = address

    def observe(self, news: News) -> None:
        """Call. Raises Retry where the address does not answer with success; redirects are not followed."""
        if not any(is_good(record) for record in news.records):
            return
        import requests

        try:
            answer = requests.get(self._address, timeout=PATIENCE_S, allow_redirects=False)
        except requests.RequestException as error:
            # The address may hold a token, so neither it nor the library's message is repeated.
            raise Retry(f"the heartbeat's address did not answer ({type(error).__name__})") from None
        if not answer.ok or answer.is_redirect:
            raise Retry(f"the heartbeat's address answered {answer.status_code}")
