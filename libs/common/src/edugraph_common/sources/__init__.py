"""Sources: files that platforms export, read as rows of the record contract.

`open_text` makes the read plan of a file, and the plan's source cuts the text into rows. `stored` keeps the rows in
the blob store, in frames that have the same form for all file formats.
"""

from edugraph_common.sources.chunking import RawRow
from edugraph_common.sources.compression import compression_of
from edugraph_common.sources.encoding import UTF8
from edugraph_common.sources.mapping import Mapping, mapping_of_source, parse_mapping
from edugraph_common.sources.platforms import Platforms
from edugraph_common.sources.read_plan import ReadPlan, make_read_plan, open_text
from edugraph_common.sources.rows import NotRelevant, Row, Source, read_rows
from edugraph_common.sources.stored import (
    frames_key,
    load_mapping,
    load_read_plan,
    load_rows,
    mapping_key,
    read_plan_key,
    source_key,
    store_mapping,
    store_read_plan,
    store_records,
    store_rows,
    stored_read_plan,
)
from edugraph_common.sources.students import STUDENT_FIELDS, students_of_record

__all__ = [
    "STUDENT_FIELDS",
    "UTF8",
    "Mapping",
    "NotRelevant",
    "Platforms",
    "RawRow",
    "ReadPlan",
    "Row",
    "Source",
    "compression_of",
    "frames_key",
    "load_mapping",
    "load_read_plan",
    "load_rows",
    "make_read_plan",
    "mapping_key",
    "mapping_of_source",
    "open_text",
    "parse_mapping",
    "read_plan_key",
    "read_rows",
    "source_key",
    "store_mapping",
    "store_read_plan",
    "store_records",
    "store_rows",
    "stored_read_plan",
    "students_of_record",
]
