"""What people said of mistakes, as `edugraph analyzer fit` reads it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from edugraph_common.contracts.errors import Rejected


@dataclass(frozen=True)
class LabelledItem:
    """A record (its JSON) and what people said of it; either tuple may be empty."""

    record: dict[str, Any]
    error_types: tuple[str, ...]
    knowledge_points: tuple[str, ...]


class LabelReader(Protocol):
    """Yields labelled items, each record once. A source of labels is a class with this method."""

    def items(self) -> Iterator[LabelledItem]: ...


@dataclass(frozen=True)
class FileLabels:
    """Labels from two files of NDJSON: records, and lines with the `record_id` of one and what is said of it.

    A line of labels has `error_types` and `knowledge_points` as lists, or `error_type` and `knowledge_point` as text.
    Several lines for one record are added up.
    """

    records: Path
    labels: Path

    def items(self) -> Iterator[LabelledItem]:
        """Raises Rejected for a line that cannot be read, and tells its number and nothing of its content."""
        types: dict[str, dict[str, None]] = {}
        points: dict[str, dict[str, None]] = {}
        for label in _lines(self.labels):
            record_id = str(label.get("record_id"))
            for found, name in ((types, "error_type"), (points, "knowledge_point")):
                said = [*(label.get(f"{name}s") or ()), label.get(name)]
                names = (each.strip() for each in said if isinstance(each, str))
                found.setdefault(record_id, {}).update(dict.fromkeys(filter(None, names)))
        seen = set[str]()
        for record in _lines(self.records):
            record_id = str(record.get("record_id"))
            if record_id not in seen and (types.get(record_id) or points.get(record_id)):
                seen.add(record_id)
                yield LabelledItem(record, tuple(types[record_id]), tuple(points[record_id]))


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                value = json.loads(line)
            except ValueError:
                value = None
            if not isinstance(value, dict):
                raise Rejected(f"line {number} of {path.name} is no JSON object; each line must be one")
            yield value
