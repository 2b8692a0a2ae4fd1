"""The form of a file, and how a request describes it."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass

from edugraph_common.contracts.messages import ChangeTime, Compression, Format

CHUNK_BYTES = 1 << 18  # of a file are read and sent at a time

_CONTENT_TYPES: dict[Format, str] = {
    "ndjson": "application/x-ndjson",
    "csv": "text/csv",
    "xapi": "application/octet-stream",
    "openedx": "application/octet-stream",
    "workbook": "application/octet-stream",
    "parquet": "application/octet-stream",
    "case": "application/octet-stream",
    "outline": "text/csv",
    "openstax": "application/octet-stream",
    "coherence_map": "application/octet-stream",
}


@dataclass(frozen=True)
class FileSource:
    """The form of a file.

    `mapping` is the text of the mapping file of a table. `platform` names the platform that wrote a log. `changed_at`
    says when the records changed: with `import`, the file is the newest state. `source_name` is the source that the
    records belong to.
    """

    format: Format = "ndjson"
    compression: Compression | None = None
    mapping: str | None = None
    platform: str | None = None
    changed_at: ChangeTime = "record"
    source_name: str | None = None

    @property
    def options(self) -> dict[str, str]:
        """The parameters of an import that describe the file. The mapping is not one of them."""
        given = {"format": self.format, "platform": self.platform}
        if self.changed_at != "record":
            given["changed_at"] = self.changed_at
        given["source"] = self.source_name
        return {name: value for name, value in given.items() if value}

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers that describe the bytes of the file.

        A mapping may name persons, and proxies log addresses. So it is not a parameter of the address.
        """
        headers = {"Content-Type": _CONTENT_TYPES[self.format]}
        if self.mapping:
            headers["Edugraph-Mapping"] = base64.b64encode(self.mapping.encode()).decode()
        if self.compression:
            headers["Content-Encoding"] = self.compression
        return headers
