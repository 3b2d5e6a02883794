"""Exported forms of published models: written only once it is proved that they say what the model says, and kept beside it.

    models/<id>/export-onnx          the file
    models/<id>/export-onnx-proof    what was compared, and the hash of the file

Both are created after the proof, the proof last; an export without its proof is none. TorchScript is written to a file alone:
it holds a pickle, and nothing in a store does.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from trader.app.journal import Journal
from trader.app.retrain import load_model
from trader.app.stored import encode
from trader.core.errors import ConfigError, DataError, UnequalExport
from trader.core.export_scene import facts_for, scene_of
from trader.core.exports import ExportForm, ExportProof
from trader.core.model import ModelCard
from trader.core.ports import Exportable, Predictor
from trader.core.types import Bars, Json
from trader.forecasters.registry import export_families, reader_of

PROOF_SCHEMA = "export-proof/1"
# Forms that are kept in the store.
STORED_FORMS: tuple[ExportForm, ...] = ("onnx",)


@dataclass(frozen=True, slots=True)
class ProvedExport:
    """A file's bytes, and the proof that they say what the model says. is_stored: whether they lie beside the model."""

    data: bytes
    proof: ExportProof
    is_stored: bool


@dataclass(frozen=True, slots=True)
class ExportDifference:
    """An exported form that does not say what its model says, and how."""

    form: ExportForm
    message: str

    def __str__(self) -> str:
        return f"{self.form}: {self.message}"


def export_model(
    journal: Journal, card: ModelCard, form: ExportForm, bars: Bars | None = None
) -> ProvedExport:
    """Write a published model in a form, prove it, and keep it beside the model. Safe to repeat and to kill: an export that is
    kept already is proved again and stays; one that is damaged is replaced.

    bars: those of the journal's symbol, whose newest hours are asked too; None: drawn ones. Raises ConfigError for a family
    without this form or a library that is missing, UnequalExport where the two forms differ; nothing is written then.
    """
    card, model = load_model(journal, card.model_id)
    forecaster = exportable(card.family, form)
    if card.columns and len(card.symbols) > 1:
        raise ConfigError(
            f"{card.model_id} was fitted on rows of {', '.join(card.symbols)}, and an exported form cannot say whose hour it is "
            "asked about. Serve it as it is, or train each symbol a model of its own (leave pool out of book.toml)"
        )
    facts = facts_for(card)
    scene = scene_of(card, forecaster.traits, bars)
    is_kept = form in stored_forms(journal, card) and not _problem(journal, card, form)
    data = _proved(journal, card, form) if is_kept else forecaster.export(model, form, facts)
    proof = forecaster.prove(model, data, form, facts, scene)
    if form not in STORED_FORMS:
        return ProvedExport(data, proof, is_stored=False)
    _keep(journal, card, form, data, proof)
    return ProvedExport(data, proof, is_stored=True)


def load_exported(journal: Journal, card: ModelCard, form: ExportForm) -> Predictor:
    """The predictor of a form that is kept beside the model. Raises DataError, naming `trader export`, where there is none or
    where it is not the one that was proved; ConfigError where the library that runs it is missing."""
    data = _proved(journal, card, form)
    return exportable(card.family, form).load_exported(data, form, key_of(card, form))


def compare(journal: Journal, card: ModelCard, bars: Bars | None = None) -> list[ExportDifference]:
    """Prove again every form that is kept beside a model: what differs, in the order of the forms. Without an export there is
    nothing to differ (`stored_forms`)."""
    card, model = load_model(journal, card.model_id)
    found = []
    for form in stored_forms(journal, card):
        try:
            data, forecaster = _proved(journal, card, form), exportable(card.family, form)
            forecaster.prove(model, data, form, facts_for(card), scene_of(card, forecaster.traits, bars))
        except (DataError, UnequalExport) as error:
            found.append(ExportDifference(form, str(error)))
    return found


def stored_forms(journal: Journal, card: ModelCard) -> tuple[ExportForm, ...]:
    """The forms of which something is kept beside a model."""
    store = journal.store
    return tuple(
        form
        for form in STORED_FORMS
        if store.get(key_of(card, form)) is not None or store.get(proof_key_of(card, form)) is not None
    )


def export_problems(journal: Journal, card: ModelCard) -> Iterator[str]:
    """What is wrong with the exports that are kept beside a model, by their hashes alone."""
    for form in stored_forms(journal, card):
        if problem := _problem(journal, card, form):
            yield problem


def exportable(family: str, form: ExportForm) -> Exportable:
    """The forecaster of a family that has the form. Raises ConfigError that says which families have it."""
    forecaster = reader_of(family)
    if isinstance(forecaster, Exportable) and form in forecaster.export_forms:
        return forecaster
    have = ", ".join(export_families(form))
    raise ConfigError(f"a model of family {family!r} has no form {form!r}; these families have it: {have}")


def key_of(card: ModelCard, form: ExportForm) -> str:
    """Where the form of a model lies."""
    return f"models/{card.model_id}/export-{form}"


def proof_key_of(card: ModelCard, form: ExportForm) -> str:
    """Where its proof lies."""
    return f"{key_of(card, form)}-proof"


def _keep(journal: Journal, card: ModelCard, form: ExportForm, data: bytes, proof: ExportProof) -> None:
    said = {
        "schema": PROOF_SCHEMA,
        "model_id": card.model_id,
        "model_sha256": card.model_sha256,
        **asdict(proof),
    }
    for key, content in ((key_of(card, form), data), (proof_key_of(card, form), encode(said))):
        if not journal.store.create(key, content) and _problem(journal, card, form):
            journal.store.put(key, content)  # what is there was proved by nobody, or is damaged


def _proved(journal: Journal, card: ModelCard, form: ExportForm) -> bytes:
    """The bytes that are kept. Raises DataError, with the way out, where there are none or where they were not proved."""
    data = journal.store.get(key_of(card, form))
    if problem := _problem(journal, card, form):
        raise DataError(problem)
    if data is None:
        raise DataError(f"{key_of(card, form)} is not in the store. {_way_out(card, form)}")
    return data


def _way_out(card: ModelCard, form: ExportForm) -> str:
    return f"Write it: trader export {card.model_id} --format {form} --out FILE"


def _problem(journal: Journal, card: ModelCard, form: ExportForm) -> str:
    """Why the export of a form is not the one that was proved of this very model; "" where it is, or where there is none."""
    key, store = key_of(card, form), journal.store
    data, text = store.get(key), store.get(proof_key_of(card, form))
    if data is None and text is None:
        return ""
    again = _way_out(card, form)
    if data is None or text is None:
        return f"{key if data is None else proof_key_of(card, form)} is missing. {again}"
    said = _proof(text)
    if said is None or said.get("schema") != PROOF_SCHEMA:
        return f"{proof_key_of(card, form)} does not hold {PROOF_SCHEMA!r}. {again}"
    if (said.get("model_id"), said.get("model_sha256")) != (card.model_id, card.model_sha256):
        return f"{proof_key_of(card, form)} is the proof of another model. {again}"
    if said.get("sha256") != hashlib.sha256(data).hexdigest():
        return f"{key} is not the file that was proved; it was changed or replaced. {again}"
    return ""


def _proof(text: bytes) -> Json | None:
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return said if isinstance(said, dict) else None
