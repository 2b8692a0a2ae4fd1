"""Sources: what platforms export, read as rows of the record contract.

`open_text` decides how a file is read (its read plan), the plan's source cuts the text into chunks of whole rows,
and each chunk is read into rows. `stored` has what is kept of a file in the blob store, so that a batch can be read
alone.
"""

from edugraph_common.sources.blanking import blank_rows
from edugraph_common.sources.chunking import Chunk
from edugraph_common.sources.compression import compress_frame, compression_of, decompress_frame
from edugraph_common.sources.encoding import UTF8
from edugraph_common.sources.mapping import Mapping, parse_mapping
from edugraph_common.sources.platforms import Platforms
from edugraph_common.sources.read_plan import ReadPlan, make_read_plan, open_text
from edugraph_common.sources.rows import NotRelevant, Row, Source
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
)
from edugraph_common.sources.students import STUDENT_FIELDS, students_of_record

__all__ = [
    "STUDENT_FIELDS",
    "UTF8",
    "Chunk",
    "Mapping",
    "NotRelevant",
    "Platforms",
    "ReadPlan",
    "Row",
    "Source",
    "blank_rows",
    "compress_frame",
    "compression_of",
    "decompress_frame",
    "frames_key",
    "load_mapping",
    "load_read_plan",
    "load_rows",
    "make_read_plan",
    "mapping_key",
    "open_text",
    "parse_mapping",
    "read_plan_key",
    "source_key",
    "store_mapping",
    "store_read_plan",
    "store_records",
    "students_of_record",
]
