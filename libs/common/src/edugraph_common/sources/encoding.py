"""Encodings: detection of the encoding of a text, and conversion to UTF-8 as a stream."""

import codecs
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from charset_normalizer import from_bytes

from edugraph_common.sources.ndjson import CUT_OFF, MalformedFile, ends_within_character

UTF8 = "utf-8"
_MARKS = {codecs.BOM_UTF8: UTF8, codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
_DOUBLE_BYTE = ("gb18030", "big5", "cp932", "euc_jp", "cp949")
_SINGLE_BYTE = (
    "cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "koi8_r", "cp874",
)  # fmt: skip
# Encoding -> (the least lead over the next best encoding, the least number of bytes in different words outside of
# ASCII). Both were found with 1 to 40 rows of a few words in 16 languages. Other text rarely looks like Chinese in
# GB18030, but often like text in the other encodings.
_SURE = {"gb18030": (0.05, 12)}
_SURE_DOUBLE_BYTE, _SURE_SINGLE_BYTE = (0.15, 24), (0.25, 24)
# Any bytes are valid text in a single-byte encoding, so there the text must also look like a language.
_SURE_COHERENCE = 0.3
_NOT_ASCII = re.compile(rb"[\x80-\xff]++")
_MIN_UTF16_NULS, _MAX_BYTES_PER_NUL = 4, 200
# Text in another encoding hardly ever begins with this many valid sequences of UTF-8
_ENOUGH_FOR_UTF8 = 4
# The largest share of damaged lines in a text whose encoding is detected from its other lines.
_MAX_DAMAGED_SHARE = 0.05
# In a short text one line may be damaged, if this number of other lines are not.
_LEAST_UNDAMAGED_LINES = 4
# The mark for bytes that are not valid in the encoding. UTF-8 cannot encode it, so a row that has it is rejected.
_DAMAGED = "\udcff"
_MARK_DAMAGE = "edugraph.mark_damage"
_LONGEST_CHARACTER_BYTES = 4


def _mark_damage(error: UnicodeError) -> tuple[str, int]:
    """Replace bytes that are not valid in the encoding by a character that no row may have."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return _DAMAGED, error.end


codecs.register_error(_MARK_DAMAGE, _mark_damage)


def encoding_mark(head: bytes) -> str | None:
    """Return the encoding of a byte order mark, or None.

    It overrides a mapping, since corrected rejects are UTF-8.
    """
    return next((name for mark, name in _MARKS.items() if head.startswith(mark)), None)


@dataclass(frozen=True)
class DetectedEncoding:
    """An encoding that was detected.

    `lead` is how much better the text reads in it than in `next_best`, the best encoding that gives another text. It
    is the difference of (coherence - chaos) of charset-normalizer, or 1 if no other encoding fits.
    """

    encoding: str
    lead: float = 1.0
    next_best: str | None = None
    is_sure: bool = True


def detect_encoding(head: bytes) -> DetectedEncoding:
    """Return the encoding of a text: that of its mark, UTF-8 if it is valid, else the one that reads best.

    `head` is the first part of the text.
    """
    known = encoding_mark(head) or _utf16_without_mark(head) or (UTF8 if _is_utf8(head) else None)
    if known:
        return DetectedEncoding(known)
    lines = head[: head.rfind(b"\n") + 1] or head  # The last character of the head may be cut off.
    found = _detect_by_reading(lines)
    if found.is_sure:
        return found
    return _encoding_of_undamaged_lines(lines) or found


def _encoding_of_undamaged_lines(text: bytes) -> DetectedEncoding | None:
    """Return the encoding of all lines except a few damaged ones, or None if there is not exactly one encoding."""
    lines = text.split(b"\n")
    for encoding in (UTF8, *_DOUBLE_BYTE):
        undamaged = [line for line in lines if _is_of(line, encoding)]
        damaged = len(lines) - len(undamaged)
        filled = sum(bool(line.strip()) for line in undamaged)
        is_one_of_several = damaged == 1 and filled >= _LEAST_UNDAMAGED_LINES
        is_small_share = 0 < damaged <= len(lines) * _MAX_DAMAGED_SHARE
        if not (is_one_of_several or is_small_share):
            continue
        if encoding == UTF8:
            return DetectedEncoding(UTF8, lead=0.0)
        found = _detect_by_reading(b"\n".join(undamaged))
        if found.is_sure and found.encoding == encoding:
            return found
    return None


def _is_of(line: bytes, encoding: str) -> bool:
    try:
        line.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def _detect_by_reading(lines: bytes) -> DetectedEncoding:
    """Return the encoding in which a text that is not UTF-8 reads best."""
    best_of_text: dict[str, tuple[float, float, str]] = {}
    for match in from_bytes(lines, cp_isolation=[*_DOUBLE_BYTE, *_SINGLE_BYTE]):
        found = (match.coherence - match.chaos, match.coherence, match.encoding)
        best_of_text.setdefault(str(match), found)
    ranked = sorted(best_of_text.values(), key=lambda found: -found[0])
    if not ranked:
        return DetectedEncoding(UTF8, lead=0.0, is_sure=False)
    (score, coherence, encoding), *others = ranked
    lead, next_best = (
        (round(min(score - others[0][0], 1.0), 2), others[0][2]) if others else (1.0, None)
    )
    is_double_byte = encoding in _DOUBLE_BYTE
    least_lead, least_bytes = _SURE.get(
        encoding, _SURE_DOUBLE_BYTE if is_double_byte else _SURE_SINGLE_BYTE
    )
    is_sure = (
        lead >= least_lead
        and sum(map(len, set(_NOT_ASCII.findall(lines)))) >= least_bytes
        and (is_double_byte or coherence >= _SURE_COHERENCE)
    )
    return DetectedEncoding(encoding, lead, next_best, is_sure)


def encoding_of(head: bytes) -> str:
    """Return the encoding of a text from its first part. Raises MalformedFile if it is not sure enough."""
    detected = detect_encoding(head)
    if not detected.is_sure:
        choice = " or ".join(filter(None, (detected.encoding, detected.next_best)))
        raise MalformedFile(
            f"the file is not UTF-8, and its encoding cannot be told for sure ({choice}?); "
            "find out which it is and name it in the mapping, as in `encoding: cp1252`, "
            "or convert the file: iconv -f CP1252 -t UTF-8 OLD > NEW"
        )
    return detected.encoding


def _utf16_without_mark(head: bytes) -> str | None:
    """Return UTF-16 with its byte order, or None. Its delimiters and line ends have a zero byte on the same side.

    A few zero bytes elsewhere are damage to a row, and not another encoding.
    """
    even, odd = head[::2].count(0), head[1::2].count(0)
    few, many = sorted((even, odd))
    if many < max(_MIN_UTF16_NULS, len(head) / _MAX_BYTES_PER_NUL) or few > many / 10:
        return None
    if even > odd:
        return "utf-16-be"
    return "utf-16-le"


def _is_utf8(head: bytes) -> bool:
    """Return whether a text is UTF-8.

    Its last character may be cut off, and after enough valid ones one may be wrong.
    """
    try:
        codecs.getincrementaldecoder(UTF8)().decode(head)
    except UnicodeDecodeError as error:
        good = head[: error.start].decode()
        return sum(not char.isascii() for char in good) >= _ENOUGH_FOR_UTF8
    return True


def utf8(blocks: Iterable[bytes], encoding: str) -> Iterator[bytes]:
    """Yield the text in UTF-8. A row with a damaged character gets invalid UTF-8, so that it is rejected later.

    Raises MalformedFile for a text that ends within a character.
    """
    if encoding == UTF8:
        yield from _checked_end(blocks)
        return
    decoder = codecs.getincrementaldecoder(encoding)(errors=_MARK_DAMAGE)
    for block in blocks:
        yield decoder.decode(block).encode(errors="surrogatepass")
    pending, _ = decoder.getstate()
    if pending:
        raise MalformedFile(CUT_OFF)


def _checked_end(blocks: Iterable[bytes]) -> Iterator[bytes]:
    end = b""
    for block in blocks:
        end = (end + block)[-_LONGEST_CHARACTER_BYTES:]
        yield block
    if ends_within_character(end):
        raise MalformedFile(CUT_OFF)
