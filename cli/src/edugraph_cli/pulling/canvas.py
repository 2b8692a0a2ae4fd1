"""A connector for Canvas: the assignments of courses, and the graded submissions that are new.

It follows the API of Canvas as documented in 2026: /api/v1/courses, assignments and students/submissions.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Literal

from edugraph_cli.pulling.rest import RestApi, Row, rows_with
from edugraph_cli.pulling.rounds import CannotRead, Part, file_of, short_hash, unread

StudentKey = Literal["sis_user_id", "login_id", "id"]
_PER_PAGE = "100"
# A grade may be seen a little later than its own time says. As much is read again, and counts as unchanged.
OVERLAP = timedelta(minutes=10)
_ASSIGNMENT = ("id", "name", "points_possible", "due_at", "unlock_at")
_SUBMISSION = ("id", "assignment_id", "score", "attempt", "submitted_at", "graded_at", "user")


@dataclass
class Canvas:
    """The courses of a Canvas. Without `course_ids`, all courses are pulled that the token's user sees.

    `student_key` is the field of a user that is the student's id in other sources. `left_out` counts submissions that
    cannot be read, by reason.
    """

    api: RestApi
    address: str
    student_key: StudentKey
    course_ids: tuple[str, ...] = ()
    left_out: dict[str, int] = field(default_factory=dict)

    def parts(self, places: Mapping[str, str]) -> Iterator[Part]:
        """Yield the assignments and the new submissions of each course. Raises CannotRead without a list of them."""
        for course_id in self.course_ids or self._courses():
            name = f"course {course_id}"
            try:
                assignments = self._assignments(course_id)
                lines = _item_lines(course_id, assignments)
                if lines:
                    yield self._part(f"{name}, assignments", lines)
                yield from self._submissions(course_id, assignments, places)
            except CannotRead as problem:
                yield unread(name, problem)

    def _courses(self) -> list[str]:
        found = []
        for page in self.api.pages("/api/v1/courses", {"per_page": _PER_PAGE}):
            found += [str(row["id"]) for row in rows_with(page, ("id",), "courses")]
        return found

    def _assignments(self, course_id: str) -> dict[str, Row]:
        """Return the id of each assignment with the assignment."""
        path = f"/api/v1/courses/{course_id}/assignments"
        found = {}
        for page in self.api.pages(path, {"per_page": _PER_PAGE}):
            for row in rows_with(page, _ASSIGNMENT, "assignments"):
                found[str(row["id"])] = row
        return dict(sorted(found.items()))

    def _submissions(
        self, course_id: str, assignments: Mapping[str, Row], places: Mapping[str, str]
    ) -> Iterator[Part]:
        """Yield the submissions that were handed in or graded since the last round, if there are any."""
        name = f"course {course_id}, submissions"
        place = self._place(name)
        seen_until = places.get(place, "").rpartition(".")[0]
        asked = {"student_ids[]": "all", "include[]": "user", "per_page": _PER_PAGE}
        if seen_until:
            since = (datetime.fromisoformat(seen_until) - OVERLAP).isoformat()
            queries = [{**asked, "submitted_since": since}, {**asked, "graded_since": since}]
        else:
            queries = [asked]
        path = f"/api/v1/courses/{course_id}/students/submissions"
        found: dict[str, Row] = {}
        for query in queries:
            for page in self.api.pages(path, query):
                for row in rows_with(page, _SUBMISSION, "submissions"):
                    record = self._attempt(course_id, row, assignments)
                    if record is not None:
                        found[record["record_id"]] = record
        if not found:
            return
        records = [found[record_id] for record_id in sorted(found)]
        latest = max(_moment(record["changed_at"]) for record in records)
        lines = [_line(record) for record in records]
        # The next round reads these rows again if nothing has changed, and then has the same version.
        read_again = []
        for record, line in zip(records, lines, strict=True):
            if _moment(record["changed_at"]) >= latest - OVERLAP:
                read_again.append(line)
        version = f"{latest.isoformat()}.{short_hash(*read_again)}"
        yield Part(place, version, name, partial(file_of, lines), "ndjson")

    def _attempt(self, course_id: str, row: Row, assignments: Mapping[str, Row]) -> Row | None:
        """Return the record of a graded submission, or None for one without a grade that can be read."""
        moments = [row[name] for name in ("submitted_at", "graded_at") if row[name]]
        if row["score"] is None or row.get("excused") or not moments:
            return None
        assignment = assignments.get(str(row["assignment_id"]))
        points = None
        if assignment is not None:
            points = _number(assignment["points_possible"])
        if not points or points < 0:
            self._leave_out("of an assignment without points")
            return None
        student = (row["user"] or {}).get(self.student_key)
        if not student:
            self._leave_out(f"of a user without {self.student_key}")
            return None
        attempt = row["attempt"] or 0
        share = max(0.0, min(_number(row["score"]) / points, 1.0))
        data = {
            "student_id": str(student),
            "item_id": f"{course_id}/{row['assignment_id']}",
            "course_id": course_id,
            "score": round(share, 6),
            "max_score": points,
        }
        if assignment and assignment["name"]:
            data["item_title"] = assignment["name"]
        if row["user"].get("name"):
            data["student_name"] = row["user"]["name"]
        if attempt:
            data["attempt_number"] = attempt
        if row.get("late"):
            data["late"] = True
        return {
            "type": "attempt_record",
            "record_id": f"submission-{row['id']}-{attempt}",
            "timestamp": moments[0],
            "changed_at": max(moments, key=_moment),
            "data": data,
        }

    def _leave_out(self, reason: str) -> None:
        self.left_out[reason] = self.left_out.get(reason, 0) + 1

    def _part(self, name: str, lines: list[str]) -> Part:
        return Part(self._place(name), short_hash(*lines), name, partial(file_of, lines), "ndjson")

    def _place(self, name: str) -> str:
        return short_hash(self.address, self.student_key, name)


def _item_lines(course_id: str, assignments: Mapping[str, Row]) -> list[str]:
    """Return the records of assignments. One without dates counts as given at the beginning of 1970."""
    lines = []
    for assignment_id, row in assignments.items():
        if row.get("published") is False:
            continue
        data = {
            "item_id": f"{course_id}/{assignment_id}",
            "course_id": course_id,
            "assigned_to": "course",
            "title": row["name"],
            "max_score": _number(row["points_possible"]) or None,
            "opens_at": row["unlock_at"],
            "due_at": row["due_at"],
        }
        record = {
            "type": "item_record",
            "record_id": f"assignment-{assignment_id}",
            "timestamp": row.get("created_at") or _moment("1970-01-01").isoformat(),
            "data": {name: value for name, value in data.items() if value is not None},
        }
        if row.get("updated_at"):
            record["changed_at"] = row["updated_at"]
        lines.append(_line(record))
    return lines


def _moment(text: str) -> datetime:
    """Return a time of Canvas. Raises CannotRead for another text."""
    try:
        moment = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        raise CannotRead("Canvas sends a time that is not ISO 8601; its API has changed.") from None
    if moment.tzinfo is None:
        return moment.replace(tzinfo=UTC)
    return moment.astimezone(UTC)


def _line(record: Row) -> str:
    return json.dumps(record, ensure_ascii=False, sort_keys=True) + "\n"


def _number(value: object) -> float:
    """Return a number of points, or 0 for null. Raises CannotRead for another value."""
    if value is None:
        return 0.0
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise CannotRead("Canvas sends points that are not a number; its API has changed.")
    return float(value)
