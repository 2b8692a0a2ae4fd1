"""Blanks take the place of rows, so that every other byte keeps its place and every line its number.

Ranges of the file that are kept elsewhere, in an index or in a dead letter, stay right (docs/adr/0008).
"""

import re
from collections.abc import Callable, Iterable

Span = tuple[int, int]
"""Where a row begins and ends in a text, without what separates it from the next."""

_INK = re.compile(rb"[^\r\n]")


def blank(row: bytes) -> bytes:
    """Line ends stay."""
    return _INK.sub(b" ", row)


def blanked(text: bytes, spans: Iterable[Span], fill: Callable[[bytes], bytes] = blank) -> bytes:
    """`fill` keeps the length of a row."""
    found = list(spans)
    if not found:
        return text
    changed = bytearray(text)
    for begin, end in found:
        changed[begin:end] = fill(text[begin:end])
    return bytes(changed)
