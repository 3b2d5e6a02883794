"""Trainings on their way: what each had learnt by an epoch, and the state from which it goes on.

What it had learnt is a few bytes and stays in the cache for ever; a state is megabytes, and is forgotten when the next one is
there or its trial has ended. A state that is lost costs time: the training begins anew and gives the same.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from backtest.study.cache import FoldCache
from backtest.study.tasks import WindowLearnt, epochs_key

_STATE = ".state"


class Trainings:
    """In the cache where there is one; else states are held in memory, and nothing outlives the process."""

    def __init__(self, cache: FoldCache | None) -> None:
        self._cache = cache
        self._states: dict[str, bytes] = {}

    def found(self, fold: str, epoch: int, stages: int, *, last: bool) -> WindowLearnt | None:
        """What a fold's training had learnt by an epoch, None where it is not kept; of the last epoch with its predictions."""
        told = self._cache.read(epochs_key(fold, epoch)) if self._cache else None
        if self._cache is None or told is None:
            return None
        values = json.loads(told)
        p_up = self._cache.get(fold, stages) if last else None
        if last and p_up is None:
            return None
        return WindowLearnt(values["epochs"], values["loss"], p_up)

    def state(self, fold: str, epochs: Sequence[int]) -> bytes:
        """At the latest of these epochs that is kept; b"" where none is."""
        for epoch in reversed(epochs):
            key = epochs_key(fold, epoch) + _STATE
            state = self._cache.read(key) if self._cache else self._states.get(key)
            if state:
                return state
        return b""

    def keep(self, fold: str, epochs: Sequence[int], learnt: WindowLearnt) -> None:
        """At the last of these epochs, in place of the states at the others."""
        key = epochs_key(fold, epochs[-1])
        if learnt.state:
            self._put(key + _STATE, learnt.state)
        if self._cache:
            if learnt.p_up is not None:
                self._cache.put(fold, learnt.p_up)
            told = {"epochs": learnt.epochs, "loss": learnt.loss}
            self._cache.keep(key, json.dumps(told).encode())
        self.forget(fold, epochs[:-1])

    def forget(self, fold: str, epochs: Sequence[int]) -> None:
        """The states at these epochs."""
        for epoch in epochs:
            key = epochs_key(fold, epoch) + _STATE
            self._states.pop(key, None)
            if self._cache:
                self._cache.drop(key)

    def _put(self, key: str, state: bytes) -> None:
        if self._cache:
            self._cache.keep(key, state)
        else:
            self._states[key] = state
