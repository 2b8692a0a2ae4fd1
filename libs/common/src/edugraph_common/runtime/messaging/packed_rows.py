"""Rows of live messages in compressed form, so that a full queue holds the records of hours.

The gateway packs them, and the importer unpacks them. A dead letter is unpacked when it is stored, so an erasure, an
export and an operator read its records as they read those of other letters.
"""

import base64
import json
import sys
from collections.abc import Sequence
from typing import Any

from edugraph_common.contracts.errors import Rejected
from edugraph_common.contracts.messages import LivePart

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

# A message has about 1 MiB of rows. More than this is not what the gateway packed.
LARGEST_ROWS_BYTES = 16 << 20
# The field of a part with its packed rows, and the one with plain rows.
PACKED = "packed"
ROWS = "records"


def pack_rows(rows: Sequence[dict[str, Any]]) -> str:
    """Return these rows as one text."""
    return base64.b64encode(zstd.compress(json.dumps(rows).encode())).decode()


def unpack_rows(packed: str) -> tuple[dict[str, Any], ...]:
    """Return the rows of a packed text. Raises Rejected for another text, and for too many bytes."""
    try:
        # A decompressor stops at the limit, so a small text cannot fill the memory. A part of the rows is not JSON.
        unpacking = zstd.ZstdDecompressor()
        text = unpacking.decompress(base64.b64decode(packed, validate=True), LARGEST_ROWS_BYTES)
        rows = json.loads(text)
    except (ValueError, RecursionError, zstd.ZstdError):
        rows = None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise Rejected("the packed records of the message cannot be read")
    return tuple(rows)


def rows_of(part: LivePart) -> tuple[dict[str, Any], ...]:
    """Return the records of a part. Raises Rejected for packed ones that cannot be read."""
    if part.packed is not None:
        return unpack_rows(part.packed)
    return part.records or ()


def with_plain_rows(body: bytes) -> bytes:
    """Return the body of a message with plain rows in each part that has packed ones. Other bodies are unchanged."""
    if f'"{PACKED}"'.encode() not in body:
        return body
    try:
        arguments, *rest = json.loads(body)
        parts = arguments[-1]["parts"]
        for part in parts:
            if PACKED in part:
                part[ROWS] = list(unpack_rows(part.pop(PACKED)))
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError, Rejected):
        return body  # Nobody can read records in a body of another form.
    return json.dumps([arguments, *rest]).encode()
