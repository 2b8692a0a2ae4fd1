"""Text in other encodings becomes UTF-8 while it streams through."""

import codecs
from collections.abc import Iterable, Iterator

from charset_normalizer import from_bytes

from edugraph_common.sources.ndjson import MalformedFile

UTF8 = "utf-8"
_MARKS = {codecs.BOM_UTF8: UTF8, codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
_CANDIDATES = ["gb18030", "big5", "cp1252"]  # the last takes almost any bytes, so it must not come first
_BEYOND_DOUBT = 4  # other encodings hardly ever give so many valid sequences of UTF-8, and no other before them


def encoding_mark(head: bytes) -> str | None:
    """What a byte order mark says; it is stronger than a mapping, for rejects come back in UTF-8."""
    return next((name for mark, name in _MARKS.items() if head.startswith(mark)), None)


def encoding_of(head: bytes) -> str:
    """The likely encoding of a text that begins so: its mark, UTF-8 if it can be, else what reads best."""
    marked = encoding_mark(head)
    if marked or _is_utf8(head):
        return marked or UTF8
    if b"\x00" in head:
        return "utf-16-be" if head[0] == 0 else "utf-16-le"
    best = from_bytes(head, cp_isolation=_CANDIDATES).best()
    return best.encoding if best else _CANDIDATES[0]


def _is_utf8(head: bytes) -> bool:
    """A character that is cut off at the end is no fault, nor one that is damaged, after some that are good."""
    try:
        codecs.getincrementaldecoder(UTF8)().decode(head)
    except UnicodeDecodeError as error:
        good = head[: error.start].decode()
        return sum(not char.isascii() for char in good) >= _BEYOND_DOUBT
    return b"\x00" not in head


def utf8(chunks: Iterable[bytes], encoding: str) -> Iterator[bytes]:
    """The same text in UTF-8. Raises MalformedFile where it is not of that encoding."""
    decoder = codecs.getincrementaldecoder(encoding)()
    lines = 1
    for chunk in chunks:
        text = _decode(decoder, chunk, encoding, lines)
        lines += text.count("\n")
        yield chunk if encoding == UTF8 else text.encode()
    _decode(decoder, b"", encoding, lines)


def _decode(decoder: codecs.IncrementalDecoder, chunk: bytes, encoding: str, line: int) -> str:
    try:
        return decoder.decode(chunk, final=not chunk)
    except UnicodeDecodeError as error:
        if not chunk:
            raise MalformedFile("the file is cut off in the middle of a character; send the whole file") from None
        near = line + chunk[: error.start].count(b"\n")
        raise MalformedFile(f"the file is not {encoding} (near line {near}); name its encoding") from None
