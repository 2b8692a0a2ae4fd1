"""The header of a table: its columns, checked against the mapping, and the delimiter it shows."""

from collections import Counter

from edugraph_common.contracts.contract_model import Frozen
from edugraph_common.contracts.records import InvalidRecord, shorten
from edugraph_common.sources.csv_rows import CsvRows
from edugraph_common.sources.mapping import Mapping
from edugraph_common.sources.ndjson import BOM, MalformedFile

DELIMITERS = (",", "\t", ";", "|")


class Header(Frozen):
    """`raw`: as it stands in the file. `size` in bytes of UTF-8 with a byte order mark; `lines` it takes."""

    delimiter: str
    columns: tuple[str, ...]
    raw: str
    size: int
    lines: int


def read_header(head: bytes, delimiter: str | None) -> Header:
    """`head`: the first part of the text, in UTF-8. Raises MalformedFile."""
    text = head.removeprefix(BOM)
    if not text.strip():
        raise MalformedFile("the file is empty: it holds no header")
    if b"\r" in text.lstrip().split(b"\n", 1)[0].rstrip(b"\r"):
        raise MalformedFile("the lines end with CR alone; save the file with LF or CRLF")
    lead = len(text) - len(text.lstrip(b"\r\n"))
    known = (delimiter,) if delimiter else DELIMITERS
    found = [header for each in known if (header := _read(text, len(head) - len(text), lead, each))]
    if not found:
        raise MalformedFile("the header is not valid CSV: a quote in it does not close")
    return max(found, key=lambda header: len(header.columns))


def _read(text: bytes, mark: int, lead: int, delimiter: str) -> Header | None:
    rows = CsvRows(delimiter)
    end = rows.end(text, lead, final=True)
    raw = text[lead:end].decode(errors="replace").rstrip("\r\n")
    try:
        columns = tuple(cell.strip() for cell in rows.cells(raw))
    except InvalidRecord:
        return None
    return Header(delimiter=delimiter, columns=columns, raw=raw, size=mark + end, lines=text.count(b"\n", 0, end))


def check_header(header: Header, mapping: Mapping) -> None:
    """Raises MalformedFile, with one sentence that names the columns."""
    missing = [column for column in mapping.columns if column not in header.columns]
    if missing:
        raise MalformedFile(
            f"the header lacks {_listed(missing)}, which the mapping names; it has {_listed(header.columns)}"
        )
    twice = [c for c, n in Counter(header.columns).items() if n > 1 and mapping.columns.get(c)]
    if twice:
        raise MalformedFile(f"the header has {_listed(twice)} more than once")
    other = [column or "(no name)" for column in header.columns if column not in mapping.columns]
    if other and not mapping.ignore_other_columns:
        raise MalformedFile(
            f"the mapping does not say what {_listed(other)} is; map it to a field, or to null to leave it out"
        )


def _listed(columns: list[str] | tuple[str, ...]) -> str:
    return shorten(", ".join(columns))
