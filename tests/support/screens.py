"""What tests of screens share: a screen read without minding where its lines were broken."""

from __future__ import annotations


def unwrapped(screen: str) -> str:
    """The words of a screen with one space between them."""
    return " ".join(screen.split())
