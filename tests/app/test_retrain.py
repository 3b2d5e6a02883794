"""Training: what it leaves behind when it is killed, and why it says it was done."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.bars_made import bars_made
from tests.support.fakes import MemoryStore
from tests.support.rig import quick_params
from trader.app.codec_events import CHAMPION, DEPLOYMENT
from trader.app.collect import Collector
from trader.app.journal import Journal
from trader.app.retrain import (
    ASKED,
    CALENDAR,
    TrainingCause,
    champions,
    deployment,
    load_model,
    newest_readable_params,
    retrain,
)
from trader.app.watch import RetrainRules, rules_in_force
from trader.core.errors import ConfigError, DataError
from trader.core.lifecycle import BreachRule, DriftRule
from trader.core.model import digest_of
from trader.core.params import Params, params_of
from trader.core.types import HOUR_MS, Bars
from trader.forecasters.registry import forecaster_of

BARS = bars_made(2_400, 5)
PARAMS = params_of(quick_params(), "tests")
START = BARS.first + 2_000 * HOUR_MS
WRITES = 4  # model, card, champion, deployment


class BarsAtHand:
    """A market that is a series."""

    def bars(self, symbol: str, start: int, stop: int) -> Bars:
        """The rows within."""
        return BARS.span(start, stop)


class DyingStore(MemoryStore):
    """A store whose process ends at its n-th creation, before or after it took place."""

    def __init__(self, n: int, after: bool) -> None:
        super().__init__()
        self.left, self.after = n, after

    def create(self, key: str, data: bytes) -> bool:
        """Counts."""
        self.left -= 1
        if self.left == 0 and not self.after:
            raise KeyboardInterrupt
        done = super().create(key, data)
        if self.left == 0:
            raise KeyboardInterrupt
        return done


def train(
    store: MemoryStore, hour: int = START, params: Params = PARAMS, occasion: TrainingCause = ASKED
) -> str:
    """One training in a process of its own; the new model's id."""
    collector = Collector(BarsAtHand(), "BTCUSDT")
    journal = Journal(store, "BTCUSDT")
    return retrain(journal, collector, forecaster_of, params, hour, "tests", occasion).model_id


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("n", range(1, WRITES + 1))
def test_a_first_training_that_dies_is_made_good_by_the_next(n: int, after: bool) -> None:
    """Killed just before or just after any of its writes and called again: one deployment, one champion, its model whole."""
    store = DyingStore(n, after)
    with pytest.raises(KeyboardInterrupt):
        train(store)
    model_id = train(store)
    journal = Journal(store, "BTCUSDT")
    assert [champion.model_id for champion in champions(journal)] == [model_id]
    assert [event.content.start_ms for event in journal.events(DEPLOYMENT)] == [START]
    assert load_model(journal, model_id)[0].rows > 0


def test_a_bot_that_was_killed_before_it_began_has_not_begun() -> None:
    """A champion without a deployment is no bot that a tick could find without a model for its first hours."""
    store = DyingStore(WRITES, after=False)
    with pytest.raises(KeyboardInterrupt):
        train(store)
    assert deployment(Journal(store, "BTCUSDT")) is None
    train(store, START + 5 * HOUR_MS)  # hours later
    journal = Journal(store, "BTCUSDT")
    begun = deployment(journal)
    assert begun is not None
    assert begun.start_ms == START + 5 * HOUR_MS
    assert champions(journal)[-1].valid_from <= begun.start_ms


def test_the_rule_of_a_rehearsal_goes_before_the_settings() -> None:
    """It is stored with the first training, and no later one changes it; a bot that was begun without goes by its settings."""
    set_, own = BreachRule(168, -0.05, None, 168), BreachRule(24, None, 0.5, 336)
    drift = DriftRule(("psi",), 168)
    plain, rehearsed = MemoryStore(), MemoryStore()
    for store, rules in ((plain, (None, own)), (rehearsed, (own, None))):
        for hour, rule in enumerate(rules):
            journal, collector = Journal(store, "BTCUSDT"), Collector(BarsAtHand(), "BTCUSDT")
            serve = START + hour * HOUR_MS
            retrain(journal, collector, forecaster_of, PARAMS, serve, "tests", own_rule=rule)
    found = [rules_in_force(Journal(store, "BTCUSDT"), set_, drift) for store in (plain, rehearsed)]
    assert found == [RetrainRules(set_, drift), RetrainRules(own, None, own=True)]


@pytest.mark.parametrize(
    ("occasion", "cause", "words"),
    [
        (CALENDAR, "calendar", "the calendar's refit"),
        (
            TrainingCause("breach", "breach 3: hit rate of 24 h is 0.458, below 0.500", 3),
            "breach",
            "breach 3: hit rate of 24 h",
        ),
    ],
)
def test_why_a_model_was_trained_stands_in_its_event_and_on_its_card(
    occasion: TrainingCause, cause: str, words: str
) -> None:
    """The first begins the bot, whatever was meant; later ones carry their cause."""
    store = MemoryStore()
    first, second = train(store, occasion=occasion), train(store, START + HOUR_MS, occasion=occasion)
    journal = Journal(store, "BTCUSDT")
    events = [event.content for event in journal.events(CHAMPION)]
    assert [(event.model_id, event.cause) for event in events] == [(first, "first"), (second, cause)]
    assert events[1].breach_number == occasion.breach_number
    assert events[1].message.startswith(words)
    assert load_model(journal, second)[0].reason == events[1].message
    assert load_model(journal, first)[0].reason == "the first training begins the bot"


def test_a_repeated_training_of_one_refit_publishes_once() -> None:
    """Equal rows, equal bytes, equal id: no second event."""
    store = MemoryStore()
    assert train(store) == train(store)
    assert len(champions(Journal(store, "BTCUSDT"))) == 1


def test_what_spot_cannot_trade_is_refused_before_anything_is_written() -> None:
    """long_short is for the backtest; the message says what to use."""
    store = MemoryStore()
    with pytest.raises(ConfigError, match="Use long_flat"):
        train(store, params=params_of(quick_params(exposure="long_short"), "tests"))
    assert store.objects == {}
    assert newest_readable_params(Journal(store, "BTCUSDT")) is None


def test_a_card_that_was_replaced_is_refused() -> None:
    """The champion's event holds the digest of its card: another digest is another card, whatever its name says."""
    store = MemoryStore()
    model_id = train(store)
    journal = Journal(store, "BTCUSDT")
    [event] = journal.events(CHAMPION)
    assert event.content.card_sha256 == digest_of(load_model(journal, model_id)[0])
    journal.append(replace(event.content, card_sha256="0" * 64))
    with pytest.raises(DataError, match=f"models/{model_id}/card is not the card that was named champion"):
        load_model(journal, model_id)
