"""A model's certificate in a report: what was examined of the model, beside what its parameters are worth."""

from __future__ import annotations

from backtest.report.data import Part
from trader.core.certificate import Certificate
from trader.core.errors import ConfigError
from trader.core.model import ModelCard
from trader.core.params import Params, params_of
from trader.core.types import iso

_SHOWN = 3  # parameters that differ, in a message


def require_same_params(card: ModelCard, params: Params, symbol: str) -> None:
    """Raises ConfigError, naming what differs, for a model of other parameters or of another symbol than those of the report: its
    certificate would say nothing of them."""
    if symbol not in card.symbols:
        raise ConfigError(
            f"{card.model_id} is a model of {', '.join(card.symbols)}, and the report is about {symbol}"
        )
    own = params_of(card.params, f"the card of {card.model_id}")
    if own.identity() == params.identity():
        return
    theirs, ours = _flat(own), _flat(params)
    odd = [name for name in sorted(theirs | ours) if theirs.get(name) != ours.get(name)]
    told = "; ".join(
        f"{name} {theirs.get(name, 'none')}, not {ours.get(name, 'none')}" for name in odd[:_SHOWN]
    )
    raise ConfigError(
        f"{card.model_id} has other parameters than the report: {told}. Give --params the file that the model was trained with, "
        "or leave --model out"
    )


def certificate_part(card: ModelCard, found: tuple[int, Certificate] | None) -> Part:
    """The newest certificate of a model and its number, for the page and the figures: `passed` is None where there is none."""
    if found is None:
        words = f"none; make one: trader check {card.model_id}"
        return {
            "model_id": card.model_id,
            "number": None,
            "passed": None,
            "failed": [],
            "words": words,
            "parts": [],
        }
    number, made = found
    parts = [
        {
            "part": part.part,
            "passed": part.passed,
            "checks": [{"name": it.name, "passed": it.passed, "words": it.words} for it in part.checks],
            "figures": part.figures,
        }
        for part in made.parts
    ]
    return {
        "model_id": card.model_id,
        "number": number,
        "passed": made.passed,
        "failed": list(made.failed),
        "words": made.verdict,
        "made_at": iso(made.made_at_ms),
        "known_until": iso(made.known_until),
        "parts": parts,
    }


def certificate_rows(part: Part) -> list[tuple[str, str]]:
    """The certificate on the terminal: a name and a text for the whole and for each part."""
    if part["number"] is None:
        return [("certificate", part["words"])]
    verdict = "passed" if part["passed"] else f"FAILED: {', '.join(part['failed'])}"
    title = f"number {part['number']} of {part['model_id']}, {part['made_at'][:16]}Z: {verdict}"
    return [("certificate", title), *((f"  {it['part']}", _part_words(it)) for it in part["parts"])]


def _part_words(part: Part) -> str:
    wrong = next((it for it in part["checks"] if not it["passed"]), None)
    return "passed" if wrong is None else f"FAILED: {wrong['name']}: {wrong['words']}"


def _flat(params: Params) -> dict[str, object]:
    values = params.as_json()
    model = values.pop("model")
    return {**values, **{f"model.{name}": value for name, value in model.items()}}
