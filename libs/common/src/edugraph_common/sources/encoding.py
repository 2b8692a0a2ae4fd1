"""Encodings: which one a text has, and text in others that becomes UTF-8 while it streams through."""

import codecs
from collections.abc import Iterable, Iterator

from charset_normalizer import from_bytes

from edugraph_common.sources.ndjson import MalformedFile

UTF8 = "utf-8"
_MARKS = {codecs.BOM_UTF8: UTF8, codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
_CANDIDATES = ["gb18030", "big5", "cp1252"]  # cp1252 takes almost any bytes, so it must not come first
_ENOUGH_FOR_UTF8 = 4  # text in another encoding hardly ever begins with so many valid sequences of UTF-8


def encoding_mark(head: bytes) -> str | None:
    """Return what a byte order mark says. It is stronger than a mapping, since corrected rejects come in UTF-8."""
    return next((name for mark, name in _MARKS.items() if head.startswith(mark)), None)


def encoding_of(head: bytes) -> str:
    """Detect the encoding of a text from its first part: its mark, UTF-8 if it can be, else what reads best."""
    marked = encoding_mark(head)
    if marked or _is_utf8(head):
        return marked or UTF8
    if b"\x00" in head:
        return "utf-16-be" if head[0] == 0 else "utf-16-le"
    best = from_bytes(head, cp_isolation=_CANDIDATES).best()
    return best.encoding if best else _CANDIDATES[0]


def _is_utf8(head: bytes) -> bool:
    """Take a character that is cut off at the end, and a damaged one that follows enough good ones."""
    try:
        codecs.getincrementaldecoder(UTF8)().decode(head)
    except UnicodeDecodeError as error:
        good = head[: error.start].decode()
        return sum(not char.isascii() for char in good) >= _ENOUGH_FOR_UTF8
    return b"\x00" not in head


def utf8(blocks: Iterable[bytes], encoding: str) -> Iterator[bytes]:
    """Yield the same text in UTF-8. Raises MalformedFile where it is not of that encoding."""
    decoder = codecs.getincrementaldecoder(encoding)()
    lines = 1
    for block in blocks:
        text = _decode(decoder, block, encoding, lines)
        lines += text.count("\n")
        yield block if encoding == UTF8 else text.encode()
    _decode(decoder, b"", encoding, lines)


def _decode(decoder: codecs.IncrementalDecoder, block: bytes, encoding: str, line: int) -> str:
    try:
        return decoder.decode(block, final=not block)
    except UnicodeDecodeError as error:
        if not block:
            raise MalformedFile("the file is cut off in the middle of a character; send the whole file") from None
        near = line + block[: error.start].count(b"\n")
        raise MalformedFile(f"the file is not {encoding} (near line {near}); name its encoding") from None
