"""Sentences for a name that is not known, with the known one it may be meant for."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def unknown_sentence(name: str, known: Iterable[str]) -> str:
    """`unknown field; did you mean ...?`"""
    return "unknown field" + nearest(name, known)


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of a sentence that says that a name is not known."""
    names = list(known)
    close = get_close_matches(name, names, n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else f"; known are {', '.join(names)}"
