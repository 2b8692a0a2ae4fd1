"""What a file probably is, from its name and its first bytes."""

import json
from typing import Any

from edugraph_common.contracts.contract_model import Frozen
from edugraph_common.contracts.messages import Compression, Format
from edugraph_common.sources.encoding import UTF8, encoding_of
from edugraph_common.sources.frames import compression_of, unpacked_head
from edugraph_common.sources.layouts import first_value
from edugraph_common.sources.ndjson import BOM
from edugraph_common.sources.read_plan import in_utf8
from edugraph_common.sources.table_header import read_header

_TABLES = (".csv", ".tsv", ".tab", ".txt")
_PACKED = (".gz", ".gzip", ".zst", ".zstd")
_HEAD = 1 << 16  # bytes of text that are looked at
_LOG_MARK = b"[tracking]"


class Guess(Frozen):
    format: Format
    compression: Compression | None = None
    encoding: str = UTF8
    delimiter: str | None = None


def guess(filename: str, first_bytes: bytes) -> Guess:
    """`first_bytes`: some 64 KiB, as they stand in the file. Raises MalformedFile where not even that can be read."""
    compression = compression_of(first_bytes)
    head = unpacked_head(first_bytes, compression)[:_HEAD]
    name = filename.lower()
    for ending in _PACKED:
        name = name.removesuffix(ending)
    encoding = encoding_of(head)
    text = in_utf8(head, encoding).removeprefix(BOM)
    found = _format(name, text)
    if found != "csv":
        return Guess(format=found, compression=compression)
    header = read_header(text, None)
    return Guess(format="csv", compression=compression, encoding=encoding, delimiter=header.delimiter)


def _format(name: str, text: bytes) -> Format:
    if name.endswith(_TABLES):
        return "csv"
    if _LOG_MARK in text.split(b"{", 1)[0]:
        return "openedx"
    if not text.lstrip().startswith((b"{", b"[")):
        return "ndjson" if name.endswith((".ndjson", ".jsonl")) else "csv"
    return _format_of_value(_first_value(text))


def _first_value(text: bytes) -> Any:
    """None where the first value is longer than the head, or broken."""
    try:
        return json.loads(first_value(text))
    except (ValueError, RecursionError):
        return None


def _format_of_value(value: Any) -> Format:
    keys = set(value) if isinstance(value, dict) else set()
    if {"actor", "verb"} <= keys:
        return "xapi"
    if "context" in keys or keys & {"event_type", "event"}:
        return "openedx"
    return "ndjson"
