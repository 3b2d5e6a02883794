"""Which model answers for a symbol: by alias or id, the old one serving until the new one is loaded."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from trader.app.model_alias import CHALLENGER, CHAMPION, aliased, is_alias
from trader.app.models import card_of
from trader.app.retrain import champions, deployment
from trader.core.errors import TraderError
from trader.core.lifecycle import Champion, is_late, serving
from trader.core.types import iso
from trader.serving.model import ServedModel, Standing, load_served
from trader.serving.refusal import RETRY_AFTER_S, Refused
from trader.serving.schemas import Runtime
from trader.serving.sources import SymbolSource

# A model that could not be loaded is tried again after so long: a copy may be restored, a library installed.
RETRY_LOAD_S = 15.0
# Models of past hours that are kept beside those of now.
MOST_KEPT = 8


@dataclass(frozen=True, slots=True)
class Published:
    """What a symbol's store says, and what was loaded of it, at one look. Never changed: a new look makes a new one.

    champions: in the order of their events. start_ms: the deployment's first hour, None before one. models: by id. failures: why
    a model cannot be loaded, by id. trouble: why the store could not be read at the last look, "" if it could.
    """

    champions: tuple[Champion, ...] = ()
    start_ms: int | None = None
    models: Mapping[str, ServedModel] = field(default_factory=dict)
    failures: Mapping[str, str] = field(default_factory=dict)
    trouble: str = ""

    def usable(self) -> list[Champion]:
        """The champions that are not known to be broken."""
        return [it for it in self.champions if it.model_id not in self.failures]


@dataclass(frozen=True, slots=True)
class Choice:
    """Which model answers, and how it stands to the hour."""

    model_id: str
    standing: Standing


class SymbolModels:
    """The models of one symbol. `look` and `load` are called by one thread; `published` may be read by any."""

    def __init__(
        self,
        source: SymbolSource,
        alias: str,
        runtime: Runtime,
        say: Callable[..., None],
        reloaded: Callable[[str, str], None] = lambda *_: None,
    ) -> None:
        """alias: champion, challenger, or a model's id or the beginning of it. reloaded: is told symbol and outcome ("ok" or
        "failed") of each load."""
        self.source, self._alias, self._runtime, self._say = source, alias, runtime, say
        self._reloaded = reloaded
        self._failed_at: dict[str, float] = {}
        self.published = Published()

    @property
    def symbol(self) -> str:
        """Its name."""
        return self.source.symbol

    def look(self, newest: int) -> None:
        """Read what is published, load what answers `newest` (UTC ms) and what will answer later hours. A model that fails
        leaves the one before it in its place. Never raises for what the store or a model holds: `published` says it."""
        journal, before = self.source.journal, self.published
        try:
            known, begun = tuple(champions(journal)), deployment(journal)
            named = () if is_alias(self._alias) else (card_of(journal, self._alias).model_id,)
        except TraderError as error:
            self._tell_trouble(str(error))
            return
        if before.trouble:
            self._say(f"{self.symbol}: the store can be read again")
        start = None if begun is None else begun.start_ms
        self.published = replace(before, champions=known, start_ms=start, trouble="")
        for model_id in named:
            self._try(model_id)
        if not named:
            self._load_champions(newest)
        self._forget_old(newest)

    def _tell_trouble(self, why: str) -> None:
        if why != self.published.trouble:
            self._say(f"{self.symbol}: {why}", "warning", symbol=self.symbol)
        self.published = replace(self.published, trouble=why)

    def _load_champions(self, newest: int) -> None:
        """The serving one, or the nearest before it that can be loaded; those to come; the very first before it serves."""
        for champion in self.published.champions:
            if champion.valid_from > newest:
                self._try(champion.model_id)
        left = self.published.champions
        while (chosen := serving(left, newest)) is not None and not self._try(chosen.model_id):
            left = tuple(it for it in left if it.model_id != chosen.model_id)

    def _try(self, model_id: str) -> bool:
        """Whether a model is loaded, after a try where it is not and the last failure is long enough ago."""
        if model_id in self.published.models:
            return True
        failed_at = self._failed_at.get(model_id)
        if failed_at is not None and time.monotonic() - failed_at < RETRY_LOAD_S:
            return False
        try:
            self.load(model_id)
        except TraderError as error:
            self._note_failure(model_id, str(error))
            return False
        return True

    def _note_failure(self, model_id: str, why: str) -> None:
        known = self.published.failures
        if known.get(model_id) != why:
            said = f"{self.symbol}: model {model_id} cannot be loaded, and does not answer: {why}"
            self._say(said, "error", symbol=self.symbol, model_id=model_id)
        self._reloaded(self.symbol, "failed")
        self._failed_at[model_id] = time.monotonic()
        self.published = replace(self.published, failures={**known, model_id: why})

    def load(self, model_id: str) -> ServedModel:
        """A model, read and checked once; from then on it is among `published.models`. Raises what `load_served` does."""
        if (there := self.published.models.get(model_id)) is not None:
            return there
        model = load_served(self.source.journal, model_id, self._runtime)
        failures = {name: why for name, why in self.published.failures.items() if name != model_id}
        self._failed_at.pop(model_id, None)
        models = {**self.published.models, model_id: model}
        self.published = replace(self.published, models=models, failures=failures)
        self._reloaded(self.symbol, "ok")
        card = model.loaded.card
        self._say(
            f"{self.symbol}: model {model_id} ({card.family}) is loaded; it trades from {iso(card.valid_from)} on",
            symbol=self.symbol,
            model_id=model_id,
        )
        return model

    def _forget_old(self, newest: int) -> None:
        """Of the models of past hours the oldest, beyond MOST_KEPT."""
        models = dict(self.published.models)
        needed = {it.model_id for it in self.published.champions if it.valid_from > newest}
        chosen = serving([it for it in self.published.champions if it.model_id in models], newest)
        needed |= set() if chosen is None else {chosen.model_id}
        spare = [name for name in models if name not in needed and not name.startswith(self._alias)]
        for name in spare[: max(0, len(spare) - MOST_KEPT)]:
            del models[name]
        if len(models) < len(self.published.models):
            self.published = replace(self.published, models=models)

    def choose(self, hour: int, newest: int) -> Choice:
        """Which model answers for an hour (UTC ms), as the bot would choose among those that can be loaded. Raises Refused with
        the way out where there is none."""
        there = self.published
        if not there.champions:
            why = there.trouble or "no model serves yet; train one with: trader retrain --params P.json"
            raise Refused(503, f"{self.symbol}: {why}", RETRY_AFTER_S)
        if self._alias == CHAMPION:
            return self._champion(there, hour, newest)
        if self._alias == CHALLENGER:
            waiting = aliased(there.usable(), CHALLENGER, newest)
            if waiting is None:
                raise Refused(
                    503, f"{self.symbol}: there is no challenger; no published model waits for its first hour"
                )
            chosen = waiting
        else:
            named = [it for it in there.champions if it.model_id.startswith(self._alias)]
            broken = [why for name, why in there.failures.items() if name.startswith(self._alias)]
            if broken or not named:
                raise Refused(
                    503,
                    f"{self.symbol}: {broken[0] if broken else there.trouble or 'there is no such model'}",
                )
            chosen = named[-1]
        return Choice(
            chosen.model_id, Standing(False, chosen.valid_from if hour < chosen.valid_from else None)
        )

    def _champion(self, there: Published, hour: int, newest: int) -> Choice:
        usable = there.usable()
        chosen, meant = aliased(usable, CHAMPION, hour), aliased(there.champions, CHAMPION, hour)
        if chosen is not None:
            late = meant is not None and meant.model_id != chosen.model_id
            return Choice(chosen.model_id, Standing(late or self._is_late(there, chosen, hour)))
        first = min(usable, key=lambda it: it.valid_from, default=None)
        if first is None:
            broken = "; ".join(there.failures.values())
            raise Refused(503, f"{self.symbol}: no model can be loaded: {broken}", RETRY_AFTER_S)
        if hour == newest:
            return Choice(first.model_id, Standing(False, first.valid_from))
        raise Refused(
            422,
            f"{self.symbol}: no model served {iso(hour)}; the first serves from {iso(first.valid_from)}. Ask for that "
            "hour or a later one, or serve a model by its id: --model ID",
        )

    def _is_late(self, there: Published, chosen: Champion, hour: int) -> bool:
        model = there.models.get(chosen.model_id)
        if there.start_ms is None or model is None:
            return False
        return is_late(there.start_ms, model.loaded.params.step_days, chosen, hour)

    def state(self, newest: int) -> tuple[ServedModel | None, str]:
        """The model that answers the newest hour, None with the reason; beside a model what is wrong nevertheless."""
        try:
            model = self.published.models.get(self.choose(newest, newest).model_id)
        except Refused as refused:
            return None, refused.message
        failures = "; ".join(
            f"{name} cannot be loaded: {why}" for name, why in self.published.failures.items()
        )
        return model, self.published.trouble or failures
