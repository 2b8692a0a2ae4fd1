"""The kinds of binary and markup files, recognised by their first bytes.

With the kind, the error for a wrong file can name it. Otherwise it could only say that a byte is not UTF-8.
"""

import re
import unicodedata
from typing import Literal, NamedTuple

TableFormat = Literal["workbook", "parquet"]


class BinaryKind(NamedTuple):
    """A kind of file. `format` is the format for importing it, or None. `advice` says what to do instead."""

    name: str
    advice: str = "export its records as a workbook (.xlsx, .ods), CSV or NDJSON"
    format: TableFormat | None = None


_DOCUMENT = "export the table in it as a workbook (.xlsx, .ods) or CSV"
_UNPACK = "unpack it and send the files in it"
_BEGINNINGS: tuple[tuple[bytes, BinaryKind], ...] = (
    (b"PAR1", BinaryKind("a Parquet file", "send it with the format parquet", "parquet")),
    (b"%PDF-", BinaryKind("a PDF document", _DOCUMENT)),
    (
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        BinaryKind(
            "an old Office file (.xls, .doc), or a workbook with a password",
            "save it as .xlsx without a password",
        ),
    ),
    (b"SQLite format 3\0", BinaryKind("an SQLite database")),
    (b"\0\1\0\0Standard ", BinaryKind("an Access database")),
    (b"$FL2", BinaryKind("an SPSS file (.sav)")),
    (b"ARROW1", BinaryKind("an Arrow file", "save it as Parquet")),
    (b"\x89PNG\r\n", BinaryKind("an image (PNG)", _DOCUMENT)),
    (b"\xff\xd8\xff", BinaryKind("an image (JPEG)", _DOCUMENT)),
    (b"GIF8", BinaryKind("an image (GIF)", _DOCUMENT)),
    (b"II*\0", BinaryKind("an image (TIFF)", _DOCUMENT)),
    (b"MM\0*", BinaryKind("an image (TIFF)", _DOCUMENT)),
    (b"{\\rtf", BinaryKind("a document (RTF)", _DOCUMENT)),
    (b"\x7fELF", BinaryKind("a program")),
    (b"7z\xbc\xaf\x27\x1c", BinaryKind("a 7z archive", _UNPACK)),
    (b"Rar!\x1a\x07", BinaryKind("a RAR archive", _UNPACK)),
    (b"BZh91AY&SY", BinaryKind("a bzip2 file", "unpack it, or pack it with gzip or zstd")),
    (b"\xfd7zXZ\0", BinaryKind("an xz file", "unpack it, or pack it with gzip or zstd")),
    (b"\x1f\x8b\x08", BinaryKind("a gzip file", "send it with the Content-Encoding gzip")),
    (b"\x28\xb5\x2f\xfd", BinaryKind("a zstd file", "send it with the Content-Encoding zstd")),
)
# Bytes in the first entries of a ZIP archive -> its kind. ODF requires that its type comes first, and Office writes
# its folders early.
_IN_ZIP: tuple[tuple[bytes, BinaryKind], ...] = (
    (
        b"application/vnd.oasis.opendocument.spreadsheet",
        BinaryKind("a workbook (.ods)", format="workbook"),
    ),
    (
        b"application/vnd.oasis.opendocument",
        BinaryKind("an OpenDocument text or slides", _DOCUMENT),
    ),
    (b"application/epub+zip", BinaryKind("a book (EPUB)", _DOCUMENT)),
    (b"xl/", BinaryKind("a workbook (.xlsx)", format="workbook")),
    (b"word/", BinaryKind("a Word document (.docx)", _DOCUMENT)),
    (b"ppt/", BinaryKind("slides (.pptx)", _DOCUMENT)),
    (b"", BinaryKind("a ZIP archive", _UNPACK)),
)
_MARKUP = re.compile(rb"\s*<(?:!doctype html|html|\?xml)\b", re.IGNORECASE)
_UTF8_MARK = b"\xef\xbb\xbf"
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
# Control bytes that do not occur in text in any usual encoding of one or several bytes: all except tab, line ends and
# escape.
_CONTROLS = bytes({*range(0x20)} - {0x09, 0x0A, 0x0B, 0x0C, 0x0D, 0x1A, 0x1B})
_NO_CHARACTERS = frozenset({"Cc", "Cn", "Co"})
_SAMPLE, _LEAST_SAMPLE, _FEW, _MANY = 4_096, 512, 0.05, 0.30


def kind_of_binary(head: bytes) -> BinaryKind | None:
    """Return the kind of a binary or markup file, or None for a text file. `head` is the first bytes of the file."""
    if head.startswith(b"PK\x03\x04"):
        return next(kind for mark, kind in _IN_ZIP if mark in head)
    if head[4:8] == b"ftyp" or head.startswith(b"ID3"):
        return BinaryKind("a video or a sound")
    if head.startswith(b"RIFF") and head[8:12] in (b"WEBP", b"WAVE", b"AVI "):
        return BinaryKind("an image, a video or a sound")
    if _MARKUP.match(head.removeprefix(_UTF8_MARK)):
        return BinaryKind("a web page or an XML document", _DOCUMENT)
    for beginning, kind in _BEGINNINGS:
        if head.startswith(beginning):
            return kind
    if _is_no_text(head):
        return BinaryKind("data of a kind that EduGraph does not know")
    return None


def is_archive(head: bytes) -> bool:
    """Return whether a file is a ZIP archive, and not one of the known kinds that use ZIP."""
    kind = kind_of_binary(head)
    return kind is not None and kind.name == _IN_ZIP[-1][1].name


def why_no_text(head: bytes) -> str | None:
    """Return an error for a file that was sent as text and is not text, or None.

    It is a sentence without full stop.
    """
    kind = kind_of_binary(head)
    if kind is None:
        return None
    advice = kind.advice
    if kind.format:
        advice = f"send it with the format {kind.format}"
    return f"the file is no text: it seems to be {kind.name}; {advice}"


def why_no_table(head: bytes, wanted: TableFormat) -> str | None:
    """Return an error for a file that is not the workbook or Parquet file that it was sent as, or None.

    The error is a sentence without its full stop.
    """
    kind = kind_of_binary(head)
    if kind and kind.format == wanted:
        return None
    # The first entries of a workbook may be larger than the head.
    if wanted == "workbook" and is_archive(head):
        return None
    found = "it seems to be text; send it as CSV or NDJSON"
    if kind:
        found = f"it seems to be {kind.name}; {kind.advice}"
    wanted_name = "workbook (.xlsx, .ods)" if wanted == "workbook" else "Parquet file"
    return f"the file is no {wanted_name}: {found}"


def _is_no_text(head: bytes) -> bool:
    """Return whether a file has too many control characters for text. UTF-16 is text, and a few only damage a row."""
    sample = head[:_SAMPLE]
    if len(sample) < _LEAST_SAMPLE or sample.startswith(_UTF16_MARKS):
        return False
    controls = sum(sample.count(code) for code in _CONTROLS)
    share_of_controls = controls / len(sample)
    if share_of_controls < _FEW:
        return False
    whole_lines = sample[: sample.rfind(b"\n")]
    is_utf8 = "\ufffd" not in whole_lines.decode(errors="replace")
    if share_of_controls < _MANY and is_utf8:
        return False
    whole_units = sample[: len(sample) // 2 * 2]
    for encoding in ("utf-16-le", "utf-16-be"):
        text = whole_units.decode(encoding, errors="replace")
        strange = sum(_is_strange(char) for char in text)
        if strange / len(text) < _FEW:
            return False
    return True


def _is_strange(char: str) -> bool:
    """Return whether a character does not occur in text."""
    if char in "\r\n\t":
        return False
    return char == "\ufffd" or unicodedata.category(char) in _NO_CHARACTERS
