"""Notices through apprise: Telegram, Slack, Discord, e-mail, a webhook, and a hundred others by address."""

from __future__ import annotations

from collections.abc import Sequence

from trader.core.errors import ConfigError, Retry
from trader.core.news import News
from trader.core.text import visible
from trader.observers.messages import Level, Message, chosen, messages


class Notifier:
    """An observer that sends what a person should hear. A message that could not be sent is sent with the next tick."""

    name = "notices"

    def __init__(self, addresses: Sequence[str], least: Level) -> None:
        self._addresses = tuple(addresses)
        self._least = least

    def observe(self, news: News) -> None:
        """Send the news. Raises Retry where any address did not take it; those that did hear it again."""
        for message in chosen(messages(news), self._least):
            self.send(message)

    def send(self, message: Message) -> None:
        """Send one message to every address. Raises Retry, or ConfigError for an address that is none."""
        import apprise

        target = apprise.Apprise()
        for number, address in enumerate(self._addresses, start=1):
            if not target.add(address):
                # The address itself may hold a token, so it is not repeated.
                raise ConfigError(
                    f"notify: address {number} is none that apprise knows; see its list of services"
                )
        kinds = {
            "info": apprise.NotifyType.INFO,
            "warning": apprise.NotifyType.WARNING,
            "critical": apprise.NotifyType.FAILURE,
        }
        title, body = visible(message.title), visible(message.body)
        if not target.notify(title=title, body=body, notify_type=kinds[message.level]):
            raise Retry(f"a notice ({message.topic}) was not taken by every address")
