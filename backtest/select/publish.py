"""What follows from a selection's rows: a summary, the winners' models and parameters, a page."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from backtest.select.candidates import STEPS, Candidate
from backtest.select.page import chart, page_of
from backtest.select.selection import Selection
from backtest.select.winners import Winner, Winners, by_candidate
from trader.core.types import iso

MODEL_SCHEMA = "selected/1"


def summary_of(selection: Selection, found: Winners) -> dict[str, Any]:
    """Plain values: what was tried, what is best of each series, what failed and why."""
    spec, rows = selection.spec, selection.rows
    failed = [row for row in rows.values() if row["state"] == "failed"]
    return {
        **spec.as_json(),
        "stop": iso(spec.stop),
        "series": len(selection.files),
        "candidates": [it.name for it in selection.candidates],
        "computed": selection.computed,
        "kept": len(rows) - selection.computed,
        "failed": len(failed),
        "failures": [{name: row[name] for name in ("symbol", "candidate", "reason")} for row in failed],
        "by_candidate": by_candidate(rows, found, spec.score),
        "best": [winner.as_json() for winner in found.winners],
        "without_best": found.without,
        "expected_gain_of_worthless": found.expected,
        "shrunk_towards": None if found.shrinkage is None else found.shrinkage.mean,
        "variance_between_series": None if found.shrinkage is None else found.shrinkage.between,
        "core_seconds": sum(row.get("seconds", 0.0) for row in rows.values()),
    }


def publish(selection: Selection, found: Winners, summary: dict[str, Any], style: str) -> None:
    """candidates.jsonl, selection.json, models/, best/ and page.html. Safe to repeat."""
    folder = selection.folder
    lines = [json.dumps(row) for row in selection.rows.values()]
    folder.write("candidates.jsonl", "".join(line + "\n" for line in lines))
    folder.write("selection.json", json.dumps(summary, indent=1) + "\n")
    charts = [_kept(selection, winner) for winner in found.winners]
    words = (
        f"The newest closes of {len(charts)} series, the best candidate's forecast of {STEPS} steps, and what came. Shaded are "
        f"the intervals of 50, 80 and 95 %, dashed is the median. Behind each name stands its gain over the naive forecast, out "
        f"of sample, as it was, and deflated and shrunk. Best of how many: {', '.join(_best_of(summary))}."
    )
    folder.write("page.html", page_of(f"{len(charts)} series, {selection.spec.freq}", words, charts, style))


def _best_of(summary: dict[str, Any]) -> list[str]:
    """Each candidate and how many series it is the best of, most first."""
    counts = sorted(
        ((it["best_of"], it["candidate"]) for it in summary["by_candidate"]), key=lambda it: -it[0]
    )
    return [f"{name} {count:,}" for count, name in counts]


def _kept(selection: Selection, winner: Winner) -> str:
    """Keep a winner's model, and its parameters where a bot can train them; its chart."""
    folder, spec = selection.folder, selection.spec
    arrays = folder.result(winner.key)
    model = arrays["model"].tobytes()
    candidate = next(it for it in selection.candidates if it.name == winner.candidate)
    row = selection.rows[winner.symbol, winner.candidate]
    candidate = candidate.fitted_on(row.get("train_symbols", ()))
    card = _card(selection, winner, candidate, model)
    folder.write(f"models/{winner.symbol}", model)
    folder.write(f"models/{winner.symbol}.json", json.dumps(card, indent=1) + "\n")
    if spec.freq == "1h":
        folder.write(f"best/{winner.symbol}.json", json.dumps(candidate.params.as_json(), indent=1) + "\n")
    return chart(winner, arrays, gain_words(winner, spec.score))


def _card(selection: Selection, winner: Winner, candidate: Candidate, model: bytes) -> dict[str, Any]:
    spec = selection.spec
    row = selection.rows[winner.symbol, winner.candidate]
    file = next(it for it in selection.files if it.symbol == winner.symbol)
    return {
        "schema": MODEL_SCHEMA,
        "symbol": winner.symbol,
        "candidate": winner.candidate,
        "family": candidate.params.model.family,
        "format": candidate.forecaster.format,
        "freq": spec.freq,
        "params": candidate.params.as_json(),
        "train_until": iso(row["origin"] if spec.freq == "1d" else row["train_until"]),
        "model_sha256": hashlib.sha256(model).hexdigest(),
        "bars": file.address or str(Path(file.path).resolve()),
    }


def gain_words(winner: Winner, score: str) -> str:
    """A winner's gain over the naive forecast as it was, and shrunk where that is known."""
    if score == "pinball":  # a line breaks before a word, not within a figure
        known = "" if winner.shrunk is None else f", shrunk\xa0{winner.shrunk * 100:+.1f}\xa0%"
        return f"{winner.gain * 100:+.1f}\xa0%{known}"
    known = "" if winner.shrunk is None else f", shrunk {winner.shrunk:+.2f}"
    return f"Sharpe {winner.gain:+.2f}{known}"
