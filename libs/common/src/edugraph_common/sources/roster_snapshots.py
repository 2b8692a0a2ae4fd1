"""Complete rosters: a person who was in the last roster and is not in this one has left.

A roster is compared with the records of the roster before it. The end of a membership is an ordinary version of the
membership. So it is ordered by its time, independently of the order of imports, and can be undone.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from edugraph_common.contracts.record_fields import normal_id
from edugraph_common.contracts.records import Record
from edugraph_common.contracts.school_records import MembershipRecord
from edugraph_common.sources.compression import compression_of
from edugraph_common.sources.ndjson import MalformedFile
from edugraph_common.sources.oneroster import Roster
from edugraph_common.sources.read_plan import open_text
from edugraph_common.sources.rows import cut_rows, read_rows

_LATER = timedelta(microseconds=1)


def records_of(path: Path) -> Iterator[Record]:
    """Yield the records of the last roster. The file may be compressed. Raises MalformedFile."""
    with path.open("rb") as file:
        compression = compression_of(file.read(4))
        file.seek(0)
        plan, text = open_text(file, "ndjson", compression)
        for _, row in read_rows(plan.source, cut_rows(plan.source, text)):
            if isinstance(row, Record):
                yield row


def source_of(record: Record) -> str | None:
    """Return the name of the list of a roster's record, or None."""
    return record.record_id.rpartition(":")[0] or None


def end_absent(
    roster: Roster, last: Iterable[Record], at: datetime, source: str | None = None
) -> dict[str, int]:
    """End the memberships of the last roster that are not in this complete roster, which was read `at` that time.

    The ends are added to `roster`. `source` is the name of the list. Memberships of other lists are not changed.

    All records of the roster get a time after those of the last one. So a student who comes back is a member again,
    even if the platform says that the enrollment has not changed. A membership that begins later is kept unchanged,
    so that a later roster can end it. Return outcome -> number of memberships.

    Raises MalformedFile for a roster without people, which would end all memberships, and for a last roster without
    memberships of this list.
    """
    before = _memberships_of(last, source)
    all_ids = set[str]()
    seats = set[str]()
    for row in roster.records:
        record_id = normal_id(row["record_id"])
        all_ids.add(record_id)
        if row.get("type") == "membership_record":
            seats.add(record_id)
    if not seats:
        raise MalformedFile(
            "it names nobody in a class, so as a whole roster it would end every membership"
        )

    moment = at
    for record, _ in before.values():
        moment = max(moment, record.timestamp + _LATER)
    for row in roster.records:
        row["timestamp"] = moment.isoformat()

    counts = {
        "still named": len(before.keys() & seats),
        "ended now": 0,
        "over before": 0,
        "begin later, kept": 0,
    }
    for record_id in sorted(before.keys() - all_ids):
        record, seat = before[record_id]
        kept = record.to_json()
        is_over = seat.ends is not None and seat.ends <= at
        begins_later = seat.starts is not None and seat.starts >= at
        if is_over:
            counts["over before"] += 1
        elif begins_later:
            counts["begin later, kept"] += 1
            roster.records.append(kept)
        else:
            counts["ended now"] += 1
            data: dict[str, Any] = kept["data"] | {"ends": at.isoformat()}
            roster.records.append(kept | {"timestamp": moment.isoformat(), "data": data})
    return counts


def _memberships_of(
    last: Iterable[Record], source: str | None
) -> dict[str, tuple[Record, MembershipRecord]]:
    """Return record id -> membership of a list in the last roster. Raises MalformedFile if there is none."""
    has_memberships = False
    found = {}
    for record in last:
        if not isinstance(record.data, MembershipRecord):
            continue
        has_memberships = True
        if source_of(record) == source:
            found[record.record_id] = (record, record.data)
    if found:
        return found

    of = ""
    if source:
        of = f" of the source {source}"
    elif has_memberships:
        of = " that came without --source"
    raise MalformedFile(
        f"the last roster has no memberships{of}: name the file that was written of it"
    )
