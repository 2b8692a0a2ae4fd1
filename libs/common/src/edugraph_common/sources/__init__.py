"""Where records come from: adapters from what platforms export to the record contract.

A file is opened by `open_text`, cut into pieces by its source, and each piece read into rows; what is kept of it in
the blob store, so that a batch can be read alone, is the business of `stored`.
"""

from edugraph_common.sources.chunking import Piece
from edugraph_common.sources.encoding import UTF8
from edugraph_common.sources.frames import compression_of, frame, unframe
from edugraph_common.sources.mapping import Mapping, parse_mapping
from edugraph_common.sources.people import STUDENT_FIELDS
from edugraph_common.sources.read_plan import Reading, open_text, plan_reading
from edugraph_common.sources.rewriting import rewritten
from edugraph_common.sources.source import NotRelevant, Row, Source
from edugraph_common.sources.stored import (
    frames_key,
    mapping_key,
    reading_key,
    store_mapping,
    store_reading,
    stored_mapping,
    stored_reading,
    stored_rows,
)

__all__ = [
    "STUDENT_FIELDS",
    "UTF8",
    "Mapping",
    "NotRelevant",
    "Piece",
    "Reading",
    "Row",
    "Source",
    "compression_of",
    "frame",
    "frames_key",
    "mapping_key",
    "open_text",
    "parse_mapping",
    "plan_reading",
    "reading_key",
    "rewritten",
    "store_mapping",
    "store_reading",
    "stored_mapping",
    "stored_reading",
    "stored_rows",
    "unframe",
]
