"""What people said of mistakes, as `edugraph analyzer fit` reads it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from pydantic import ValidationError

from edugraph_common.contracts.errors import Rejected
from edugraph_common.contracts.record_keys import DEFAULT_SOURCE, key_in_source
from edugraph_common.contracts.records import InvalidRecord, parse_record
from edugraph_common.contracts.reviews import REVIEW, FindingReview, text_hash
from edugraph_common.sources.keyed import keyed


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
    Several lines for one record are added up. The records belong to `source`, and so do the ids of labels, unless a
    line names another `source`.
    """

    records: Path
    labels: Path
    source: str = DEFAULT_SOURCE

    def items(self) -> Iterator[LabelledItem]:
        """Raises Rejected for a line that cannot be read, and tells its number and nothing of its content."""
        types: dict[str, dict[str, None]] = {}
        points: dict[str, dict[str, None]] = {}
        for label in _lines(self.labels):
            source = str(label.get("source") or self.source)
            key = key_in_source(source, str(label.get("record_id")))
            for found, name in ((types, "error_type"), (points, "knowledge_point")):
                said = [*(label.get(f"{name}s") or ()), label.get(name)]
                names = (each.strip() for each in said if isinstance(each, str))
                found.setdefault(key, {}).update(dict.fromkeys(filter(None, names)))
        seen = set[str]()
        for record in _lines(self.records):
            key = key_in_source(self.source, str(record.get("record_id")))
            if key not in seen and (types.get(key) or points.get(key)):
                seen.add(key)
                keyed_record = {**record, "record_id": key}
                yield LabelledItem(keyed_record, tuple(types[key]), tuple(points[key]))


@dataclass(frozen=True)
class ReviewLabels:
    """Labels from records and from what `edugraph reviews export` printed: what people accepted of what was found.

    The last word about a finding counts, and only while the record has the text that it was said of. The records
    belong to `source`. Reviews name records by their keys.
    """

    records: Path
    reviews: Path
    source: str = DEFAULT_SOURCE

    def items(self) -> Iterator[LabelledItem]:
        """Raises Rejected for a line that cannot be read, and tells its number and nothing of its content."""
        last = dict[tuple[str, str, str, str], FindingReview]()
        for number, line in enumerate(_lines(self.reviews), start=1):
            try:
                review = REVIEW.validate_python(line)
            except ValidationError:
                raise Rejected(
                    f"entry {number} of {self.reviews.name} is no review of `edugraph reviews export`"
                ) from None
            if isinstance(review, FindingReview):
                of = (review.record_id, review.text_hash, review.aspect, review.target)
                last[of] = max(last.get(of, review), review, key=lambda each: (each.at, each.by))
        accepted = dict[tuple[str, str, str], dict[str, None]]()
        for (record_id, of_text, aspect, target), review in last.items():
            if review.verdict == "accepted":
                accepted.setdefault((record_id, of_text, aspect), {})[target] = None
        seen = set[str]()
        for number, value in enumerate(_lines(self.records), start=1):
            try:
                record = keyed(parse_record(value), self.source)
            except InvalidRecord:
                raise Rejected(
                    f"entry {number} of {self.records.name} is no valid record"
                ) from None
            if record.record_id in seen:
                continue
            said = record.record_id, text_hash(record)
            types, points = (
                tuple(accepted.get((*said, aspect), ()))
                for aspect in ("error_type", "knowledge_point")
            )
            if types or points:
                seen.add(record.record_id)
                yield LabelledItem(record.to_json(), types, points)


def label_reader(records: Path, labels: Path, source: str = DEFAULT_SOURCE) -> LabelReader:
    """Return the reader of these labels of records of a source. Reviews have a `kind`.

    Raises Rejected for a first line that cannot be read.
    """
    first = next(_lines(labels), {})
    if "kind" in first:
        return ReviewLabels(records, labels, source)
    return FileLabels(records, labels, source)


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
                raise Rejected(
                    f"line {number} of {path.name} is no JSON object; each line must be one"
                )
            yield value
