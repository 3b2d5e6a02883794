"""Every verb that opens a store, as a person would call it, and what a store holds before and after."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.rig import quick_params
from trader.adapters.store_local import LocalStore
from trader.app.layout import keys_of
from trader.core.ports import Store

VERBS = {
    "tick": ("tick",),
    "tick --dry": ("tick", "--dry"),
    "retrain": ("retrain", "--params", "P.json"),
    "retrain --if-due": ("retrain", "--if-due"),
    "run": ("run", "--cron-job", "schedule"),
    "halt": ("halt", "--reason", "x"),
    "resume": ("resume", "--reason", "x"),
    "doctor": ("doctor", "--cron-job", "schedule"),
    "status": ("status",),
    "health": ("health",),
    "journal": ("journal",),
    "journal --jsonl": ("journal", "--jsonl"),
    "explain": ("explain",),
    "dashboard": ("dashboard", "--out", "page"),
    "models list": ("models", "list"),
    "models card": ("models", "card", "2021"),
    "models compare": ("models", "compare", "2021", "2021"),
    "models rollback": ("models", "rollback", "2021", "--reason", "x"),
    "observe": ("observe",),
    "tracker rebuild": ("tracker", "rebuild", "--only", "mlflow"),
    "store verify": ("store", "verify"),
}


def host(folder: Path) -> Path:
    """What some verbs read beside the store."""
    (folder / "P.json").write_text(json.dumps(quick_params()))
    (folder / "schedule").write_text("0 * * * *  trader tick\n")
    return folder


def held(store: Store | Path) -> dict[str, bytes | None]:
    """Every object of a store, probes apart."""
    found = LocalStore(store) if isinstance(store, Path) else store
    return {key: found.get(key) for key in keys_of(found) if not key.startswith("probe/")}
