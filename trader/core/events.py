"""What happens to a bot, typed: it begins, gets models, halts, resumes, breaches its thresholds, searches parameters.

Events of one `name` are numbered from 1 on, halts and resumes in one sequence; the newest wins. How they become JSON stands in `trader.app.codec_events`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Generic, Literal, TypeVar

Cause = Literal["first", "calendar", "breach", "asked", "rollback"]
Author = Literal["bot", "person"]


@dataclass(frozen=True, slots=True)
class DeploymentEvent:
    """The bot began. start_ms: its first hour, UTC ms."""

    name: ClassVar[str] = "deployment"
    symbol: str
    start_ms: int


@dataclass(frozen=True, slots=True)
class ChampionEvent:
    """A model serves the hours from valid_from_ms on (UTC ms). card_sha256: of the card's content, "" for models that an
    earlier version published. breach_number: of the breach that it answers, 0 for none."""

    name: ClassVar[str] = "champion"
    symbol: str
    model_id: str
    valid_from_ms: int
    cause: Cause
    message: str = ""
    breach_number: int = 0
    card_sha256: str = ""


@dataclass(frozen=True, slots=True)
class HaltEvent:
    """Trading stops. freeze: what is held is kept, else it is sold. reason: the runbook's word; message: who halted says
    more."""

    name: ClassVar[str] = "halt"
    symbol: str
    at_ms: int
    reason: str
    freeze: bool
    by: Author
    message: str = ""


@dataclass(frozen=True, slots=True)
class ResumeEvent:
    """A person lifted the halt: the next hour begins a new risk epoch."""

    name: ClassVar[str] = "halt"
    symbol: str
    at_ms: int
    by: Author
    message: str


@dataclass(frozen=True, slots=True)
class BreachEvent:
    """Recent results, or drift, call for another model. at_ms: the hour that showed it, UTC ms."""

    name: ClassVar[str] = "breach"
    symbol: str
    at_ms: int
    reason: str


@dataclass(frozen=True, slots=True)
class StudyEvent:
    """Parameters were searched for a model that serves from serve_from_ms on (UTC ms)."""

    name: ClassVar[str] = "study"
    symbol: str
    study_id: str
    serve_from_ms: int


AnyEvent = DeploymentEvent | ChampionEvent | HaltEvent | ResumeEvent | BreachEvent | StudyEvent
E_co = TypeVar("E_co", bound=AnyEvent, covariant=True)


@dataclass(frozen=True, slots=True)
class Event(Generic[E_co]):
    """An event and its number, from 1 on."""

    number: int
    content: E_co

    @property
    def name(self) -> str:
        """The name of the sequence that it is numbered in."""
        return self.content.name
