"""Detection of the format of a file from its name and its first bytes."""

import json

from edugraph_common.contracts.contract_model import ContractModel
from edugraph_common.contracts.messages import TABLE_FORMATS, Compression, Format
from edugraph_common.sources.binary_files import is_archive, kind_of_binary, why_no_text
from edugraph_common.sources.caliper import is_envelope
from edugraph_common.sources.compression import compression_of, decompressed_head
from edugraph_common.sources.csv_source import read_header
from edugraph_common.sources.encoding import UTF8, detect_encoding
from edugraph_common.sources.json_source import first_value, is_answer
from edugraph_common.sources.ndjson import BOM, UnusableKind
from edugraph_common.sources.read_plan import in_utf8

HEAD_BYTES = 1 << 16  # the part of a file that is enough to detect its format
_WORKBOOK_SUFFIXES = (".xlsx", ".ods")
_TABLE_SUFFIXES = (".csv", ".tsv", ".tab", ".txt")
_COMPRESSION_SUFFIXES = (".gz", ".gzip", ".zst", ".zstd")
_TRACKING_LOG_MARK = b"[tracking]"


class DetectedFile(ContractModel):
    """The detected format of a file. The encoding and the delimiter are for tables; other formats have no delimiter.

    `encoding_lead`: how much better the table reads in `encoding` than in `next_best_encoding`, from 0 to 1.
    """

    format: Format
    compression: Compression | None = None
    encoding: str = UTF8
    encoding_lead: float = 1.0
    next_best_encoding: str | None = None
    delimiter: str | None = None


def chosen_format(detected: DetectedFile, given: Format | None, *, has_mapping: bool) -> Format:
    """Return the format in which a file is read. A file with a mapping is a table."""
    is_text = detected.format not in TABLE_FORMATS
    return given or ("csv" if has_mapping and is_text else detected.format)


def detect_file(name: str, first_bytes: bytes) -> DetectedFile:
    """Detect the format of a file from its name and its first `HEAD_BYTES`, which may be compressed.

    Raises MalformedFile if not even the beginning of a damaged file can be read, and UnusableKind for a file that
    cannot be imported.
    """
    compression = compression_of(first_bytes)
    head = decompressed_head(first_bytes, compression)[:HEAD_BYTES]
    kind = kind_of_binary(head)
    # The first entries of a large workbook may look like any other ZIP file, so its name decides.
    if kind and (kind.format or (is_archive(head) and name.lower().endswith(_WORKBOOK_SUFFIXES))):
        return DetectedFile(format=kind.format or "workbook", compression=compression)
    if sentence := why_no_text(head):
        raise UnusableKind(sentence)
    detected = detect_encoding(head)
    text = in_utf8(head, detected.encoding).removeprefix(BOM)
    name = name.lower()
    for suffix in _COMPRESSION_SUFFIXES:
        name = name.removesuffix(suffix)
    file_format = _format_of(name, text)
    if file_format != "csv":
        return DetectedFile(format=file_format, compression=compression)
    delimiter = read_header(text, None).delimiter
    return DetectedFile(
        format="csv",
        compression=compression,
        encoding=detected.encoding,
        encoding_lead=detected.lead,
        next_best_encoding=detected.next_best,
        delimiter=delimiter,
    )


def _format_of(name: str, text: bytes) -> Format:
    if name.endswith(_TABLE_SUFFIXES):
        return "csv"
    if _TRACKING_LOG_MARK in text.split(b"{", 1)[0]:
        return "openedx"
    if not text.lstrip().startswith((b"{", b"[")):
        if name.endswith((".ndjson", ".jsonl")):
            return "ndjson"
        return "csv"
    if is_answer(text):
        return "xapi"
    try:
        value = json.loads(first_value(text))
    except (ValueError, RecursionError):
        # The first value is broken or longer than the head. The import will report which.
        return "ndjson"
    keys = set(value) if isinstance(value, dict) else set()
    is_statement = {"actor", "verb"} <= keys
    if is_statement or {"actor", "action"} <= keys or is_envelope(value):
        return "xapi"
    if keys & {"context", "event_type", "event"}:
        return "openedx"
    return "ndjson"
