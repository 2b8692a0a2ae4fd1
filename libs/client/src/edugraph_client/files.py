"""Files that are sent: what they are, and how they are said to be."""

from collections.abc import Mapping
from dataclasses import dataclass

from edugraph_common.contracts.messages import ChangeTime, Compression, Format

CHUNK_BYTES = 1 << 18  # how much of a file is read and sent at a time

_CONTENT_TYPES: dict[Format, str] = {
    "ndjson": "application/x-ndjson",
    "csv": "text/csv",
    "xapi": "application/octet-stream",
    "openedx": "application/octet-stream",
    "workbook": "application/octet-stream",
    "parquet": "application/octet-stream",
}


@dataclass(frozen=True)
class FileSource:
    """What a file is. `mapping`: the text of the mapping file of a table. `platform`: whose log it is.

    `changed_at`: `import` makes it the newest state.
    """

    format: Format = "ndjson"
    compression: Compression | None = None
    mapping: str | None = None
    platform: str | None = None
    changed_at: ChangeTime = "record"

    @property
    def options(self) -> dict[str, str]:
        """What is said of it beside the options of an import."""
        given = {"format": self.format, "mapping": self.mapping, "platform": self.platform}
        if self.changed_at != "record":
            given["changed_at"] = self.changed_at
        return {name: value for name, value in given.items() if value}

    @property
    def headers(self) -> Mapping[str, str]:
        """What is said of its bytes."""
        compression = {"Content-Encoding": self.compression} if self.compression else {}
        return {"Content-Type": _CONTENT_TYPES[self.format], **compression}
