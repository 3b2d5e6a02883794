"""All parts of a certificate, one after the other. Pure: bars, a model and a path in, a certificate out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from backtest.certificate.extremes import extremes
from backtest.certificate.formats import formats
from backtest.certificate.newest import newest
from backtest.certificate.production import production
from backtest.certificate.subject import Spans, Subject, first_walked
from backtest.executors.protocol import Executor
from trader.core.certificate import (
    SCHEMA,
    Certificate,
    CertificatePart,
    PartName,
    check_of,
)
from trader.core.errors import DataError
from trader.core.features import anchor_of
from trader.core.forecast import Traits
from trader.core.model import ModelCard, digest_of
from trader.core.params import Params
from trader.core.types import HOUR_MS, Progress, iso
from trader.core.windows import refit_of


def certify(
    subject: Subject,
    made_at_ms: int,
    code_version: str,
    spans: Spans | None = None,
    *,
    cache: Path | None = None,
    executor: Executor | None = None,
    progress: Progress | None = None,
) -> Certificate:
    """What is found of a model. cache: a folder of folds of the walk-forward; None keeps none. progress(done, of) is called after
    each fold. What bars or model do not hold is a failed part, in words; only trouble of this machine is raised."""
    chosen, bars = spans or Spans(), subject.bars
    works: dict[PartName, Callable[[], CertificatePart]] = {
        "production": lambda: production(subject, chosen.live_hours),
        "newest": lambda: newest(subject, chosen, cache=cache, executor=executor, progress=progress),
        "extremes": lambda: extremes(subject),
        "format": lambda: formats(subject),
    }
    early = _too_early(subject)
    parts = (*(_part(name, work, early) for name, work in works.items()), exported(subject))
    return Certificate(
        schema=SCHEMA,
        model_id=subject.card.model_id,
        card_sha256=digest_of(subject.card),
        symbol=bars.symbol,
        family=subject.card.family,
        made_at_ms=made_at_ms,
        known_until=bars.last if len(bars) else 0,
        code_version=code_version,
        parts=parts,
    )


def exported(subject: Subject) -> CertificatePart:
    """The part `exports`: each stored form of the model was compared with the model by whoever knows the forms."""
    if subject.differences is None:
        check = check_of("exported forms", True, "no export is stored, so there is nothing to compare")
    else:
        wrong = list(subject.differences)
        check = check_of(
            "exported forms", not wrong, wrong[0] if wrong else "every stored form says what the model says"
        )
    return CertificatePart("exports", (check,), {})


def first_bar_needed(
    card: ModelCard, params: Params, traits: Traits, stop: int, spans: Spans | None = None
) -> int:
    """The first bar (UTC ms) that a certificate reads, where bars go on to `stop`: the training of the first window of its
    walk-forward, its context, and the anchor of the features."""
    start = first_walked(card, params, stop, (spans or Spans()).newest_days)
    begin = min(refit_of(params, 0, start).train_from, card.train_from) - traits.context_hours * HOUR_MS
    return min(anchor_of(begin), begin) if traits.reads == "rows" else begin


def _too_early(subject: Subject) -> str:
    """Why nothing can be said by these bars, as where a clock went back: they end before the model's training does; "" where they
    do not."""
    bars, until = subject.bars, subject.card.train_until
    if len(bars) and bars.last >= until:
        return ""
    there = f"the bars end at {iso(bars.last)}" if len(bars) else "there are no bars"
    return f"{there}, and the model was trained up to {iso(until)}: set the clock right, or collect bars, and examine it again"


def _part(name: PartName, work: Callable[[], CertificatePart], early: str) -> CertificatePart:
    """The part, or in words why it cannot be examined."""
    if early:
        return CertificatePart(name, (check_of("examined", False, early),), {})
    try:
        return work()
    except DataError as error:
        return CertificatePart(name, (check_of("examined", False, str(error)),), {})
