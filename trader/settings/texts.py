"""A setting's text as env files, shells and editors leave it: what is plainly left over is taken off, what is doubtful
refused."""

from __future__ import annotations

import re
from pathlib import Path

# Docker's --env-file and systemd's keep quotes that a shell would take off; word processors write curly ones.
_QUOTES = {'"': '"', "'": "'", "`": "`", "“": "”", "‘": "’", "„": "“"}
_MARKS = "".join({*_QUOTES, *_QUOTES.values()})
_UNSEEN = "\ufeff\u200b\u2060"
_VARIABLE = re.compile(r"\$\{|\$[A-Za-z_(]|%[A-Za-z_]+%")


def cleaned(text: str, *, secret: bool = False) -> str:
    """The text without blanks, line ends and one pair of quotes around it.

    Raises ValueError for a quote at one end, a character that nobody sees, a variable that nobody filled in, a comment behind
    the value; secret: whether it may not be repeated, and may hold what looks like a variable or a comment.
    """
    text = text.strip().strip(_UNSEEN).strip()
    if len(text) > 1 and _QUOTES.get(text[0]) == text[-1]:
        text = text[1:-1].strip()
    shown = "it" if secret else repr(text)
    if text and (text[0] in _MARKS or text[-1] in _MARKS):
        raise ValueError(f"{shown} has a quote at one end; write the value without quotes")
    if not text.isprintable():
        raise ValueError(
            f"{'it' if secret else ascii(text)} holds a character that cannot be seen; type it anew"
        )
    if secret:
        return text
    if _VARIABLE.search(text):
        raise ValueError(f"{shown} holds a variable that was not filled in; write out what it stands for")
    if " #" in text:
        raise ValueError(f"{shown} holds a comment; put it on a line of its own")
    return text


def folder_text(text: str) -> str:
    """A path with `~` replaced by its folder. Raises ValueError for an empty one, and for a user that is unknown."""
    if not text:
        raise ValueError("it is empty; leave the setting out, or name a folder")
    if not text.startswith("~"):
        return text
    try:
        return str(Path(text).expanduser())
    except RuntimeError:
        raise ValueError(
            f"{text!r} names a user that this machine does not know; write the path out"
        ) from None
