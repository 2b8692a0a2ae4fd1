"""The export of all data about a student: a ZIP of JSON files with an index that a person can read.

The index comes from the registry of personal data. It also names the places that an export does not read, and why.
"""

import json
import re
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import suppress
from datetime import datetime
from itertools import groupby
from typing import IO, Any, NamedTuple

from pydantic import ValidationError

from edugraph_common.contracts.drafts import Draft
from edugraph_common.contracts.errors import Rejected
from edugraph_common.contracts.messages import Format
from edugraph_common.contracts.outcomes import Reject
from edugraph_common.contracts.personal_data import PLACES, Exporter
from edugraph_common.contracts.record_fields import normal_id
from edugraph_common.runtime.shared_state.audit import Entry
from edugraph_common.runtime.shared_state.digests import DigestSubscription
from edugraph_common.runtime.shared_state.fit_store import fit_keys, read_fit
from edugraph_common.runtime.shared_state.object_store import BlobMissing, Blobs
from edugraph_common.runtime.shared_state.saved_views import SavedView
from edugraph_common.sources import (
    Platforms,
    RawRow,
    ReadPlan,
    Source,
    frames_key,
    load_mapping,
    open_text,
    stored_read_plan,
)
from edugraph_common.sources.compression import content_encoding_of
from edugraph_common.sources.ndjson import MalformedFile
from edugraph_common.sources.person import Person, Scrubbed
from edugraph_common.sources.persons import people_of
from edugraph_common.sources.rows import cut_rows
from edugraph_common.sources.split_budget import CountedFile, SplitBudget
from edugraph_common.sources.stored import index_key, stored_rows
from edugraph_importer.erasure import is_named_in, written_by_others
from edugraph_importer.erasure.files import may_name
from edugraph_importer.graph import Graph

EXPORTED: AbstractSet[Exporter] = frozenset(
    {"graph", "files", "fits", "jobs", "results", "dead_letters", "views", "digests", "audit"}
)
_SOURCE = re.compile(
    r"jobs/([^/]+)/source\.(ndjson|csv|xapi|openedx|workbook|parquet|case|outline|openstax|coherence_map)"
    r"(\.gz|\.zst)?"
)
_INTRODUCTION = """What EduGraph keeps of the student {student}, read on {moment}.
EduGraph 保存的关于学生 {student} 的数据，读取时间 {moment}。

Messages were written or received together with other people: look at their rights before this is handed on.
消息由两人共有：转交之前请考虑他人的权利。

"""

# After an erasure some data remains until a job ends or a dead letter is cleaned. An export must not copy it.
_ERASED = """This student was erased. What a job that still runs or a dead letter has of them was not read.
此学生已被删除。仍在运行的任务或死信中的内容没有读取。
"""

Search = Callable[[AbstractSet[str]], Iterator[tuple[str, Any]]]
"""(texts) -> key and value of each entry of Redis in which one of these is a value."""


class Elsewhere(NamedTuple):
    """The sources of an export other than the graph and the blob store.

    `letters` takes a search in the body of a dead letter. It returns the queue of each letter in which something is
    found, with the findings, and raises Rejected if the broker has no dead letters. `entries` returns the entries of
    the audit log about a student. `views` returns every saved view as JSON, and `digests` every subscription.
    """

    search: Search
    letters: Callable[[Callable[[bytes], list[Any]]], list[tuple[str, list[Any]]]]
    entries: Callable[[str], Iterator[Entry]]
    views: Callable[[], Iterator[str]]
    digests: Callable[[], Iterator[str]]


class PersonExport:
    """Writes the export of one student.

    `prefixes` has the prefix of the ids of each platform, for files that were not split yet. `go_on` is called often,
    so that a lock of the caller does not expire.
    """

    def __init__(
        self,
        student_id: str,
        graph: Graph,
        blobs: Blobs,
        elsewhere: Elsewhere,
        prefixes: Mapping[str, str],
        *,
        go_on: Callable[[], None] = lambda: None,
    ) -> None:
        self._student_id = student_id
        self._graph = graph
        self._blobs = blobs
        # Files, dead letters and views may contain any id of the person.
        self._ids = graph.ids_of_persons({student_id})
        self._elsewhere = elsewhere
        self._prefixes = prefixes
        self._go_on = go_on
        self._counts: dict[str, int] = {}
        self._problems: list[str] = []

    def write(self, file: IO[bytes], now: datetime) -> dict[str, int]:
        """Write the ZIP to `file`. Return the number of entries in each file of the ZIP."""
        exported = self._graph.export_student(self._ids)
        known = self._graph.look(self._ids)
        records = frozenset(str(record["properties"]["id"]) for record in exported["records"])
        person = Person(self._ids, records, known.names)
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, entries in exported.items():
                self._add(archive, f"graph/{name}.ndjson", entries)
            if known.erased:
                self._problems.append(_ERASED)
            else:
                self._add(archive, "files/rows.ndjson", self._rows())
                self._add(archive, "files/rejects.ndjson", self._rejects())
                self._add(archive, "fits/rows.ndjson", self._labelled())
                self._add(archive, "redis/jobs_and_results.ndjson", self._redis_entries(records))
                self._add(archive, "broker/dead_letters.ndjson", self._letters(person))
                self._add(archive, "redis/views.ndjson", self._views(person))
                self._add(archive, "redis/digests.ndjson", self._digests(person))
            self._add(archive, "redis/audit.ndjson", self._audit_entries())
            archive.writestr("index.txt", self._index(now))
        return self._counts

    def _redis_entries(self, records: frozenset[str]) -> Iterator[dict[str, Any]]:
        """Yield the entries of Redis that have an id of the student or of one of the student's records."""
        for key, value in self._elsewhere.search(self._ids | records):
            yield {"key": key, "value": own_part(value, self._ids)}

    def _audit_entries(self) -> Iterator[dict[str, Any]]:
        for student_id in sorted(self._ids):
            for entry in self._elsewhere.entries(student_id):
                yield entry.model_dump(mode="json")

    def _add(self, archive: zipfile.ZipFile, name: str, entries: Iterable[Any]) -> None:
        self._counts[name] = 0
        self._go_on()
        with archive.open(name, "w", force_zip64=True) as file:
            for entry in entries:
                line = json.dumps(entry, ensure_ascii=False, default=str)
                file.write(f"{line}\n".encode(errors="backslashreplace"))
                self._counts[name] += 1

    def _index(self, now: datetime) -> str:
        text = _INTRODUCTION.format(
            student=self._student_id, moment=now.isoformat(timespec="seconds")
        )
        text += "".join(f"{name}: {count}\n" for name, count in self._counts.items())
        text += "".join(f"\n{problem}" for problem in self._problems)
        for place in PLACES:
            if place.level == "personal" or place.exporter:
                mark = "NOT READ by this export / 本次导出未读取"
                if place.exporter in EXPORTED:
                    mark = "read / 已读取"
                text += f"\n{place.store} {', '.join(place.patterns)}: {mark}\n"
                text += f"  {place.holds.en}\n  {place.holds.zh}\n"
                text += f"  {place.kept.en} / {place.kept.zh}\n"
        return text

    def _rows(self) -> Iterator[dict[str, Any]]:
        """Yield each row of a file that names the student, as it was stored."""
        for job_id, keys in self._jobs_that_may_name():
            self._go_on()
            source_key = next((key for key in keys if _SOURCE.fullmatch(key)), None)
            if index_key(job_id) in keys and frames_key(job_id) in keys:
                key = frames_key(job_id)
                rows = self._stored_rows(job_id)
            elif source_key is not None:
                key = source_key
                rows = self._rows_of_upload(job_id, key)
            else:
                continue
            try:
                for row in rows:
                    yield {"key": key, "row": row.raw.decode(errors="replace")}
            except (MalformedFile, Rejected) as problem:
                self._problems.append(f"{key} could not be read whole: {problem}")

    def _jobs_that_may_name(self) -> Iterator[tuple[str, list[str]]]:
        """Yield each job whose rows can name the student, with the keys of its blobs."""
        keys = [key for key in self._blobs.keys("jobs") if ".part-" not in key]
        for job_id, found in groupby(keys, key=lambda key: key.split("/")[1]):
            keys_of_job = list(found)
            if may_name(self._blobs, job_id, keys_of_job, Person(self._ids)):
                yield job_id, keys_of_job

    def _stored_rows(self, job_id: str) -> Iterator[RawRow]:
        """Yield the rows of a file that was split and that name the student."""
        source = (stored_read_plan(self._blobs, job_id) or ReadPlan()).source
        for rows in stored_rows(self._blobs, job_id):
            self._go_on()
            for row in rows:
                if self._names_student(source, row):
                    yield row

    def _rows_of_upload(self, job_id: str, key: str) -> Iterator[RawRow]:
        """Yield the rows of a file that was not split and that name the student. Raises MalformedFile."""
        encoding = content_encoding_of(key)
        compression = None if encoding == "identity" else encoding
        found = _SOURCE.fullmatch(key)
        assert found is not None  # noqa: S101 - the caller chose the key by this pattern
        form: Format = found[2]  # type: ignore[assignment]  # the pattern knows the formats
        mapping = load_mapping(self._blobs, job_id)
        budget = SplitBudget()
        with self._blobs.open(key) as file:
            counted = CountedFile(file, budget)
            plan, text = open_text(counted, form, compression, mapping, Platforms(self._prefixes))
            for row in cut_rows(plan.source, budget.checked(text)):
                if self._names_student(plan.source, row):
                    yield row

    def _rejects(self) -> Iterator[dict[str, Any]]:
        for job_id, keys in self._jobs_that_may_name():
            source = (stored_read_plan(self._blobs, job_id) or ReadPlan()).source
            for key in keys:
                if "/rejects/" in key:
                    yield from self._rejects_in(key, source)

    def _rejects_in(self, key: str, source: Source) -> Iterator[dict[str, Any]]:
        with self._blobs.open(key) as file:
            for line in file:
                try:
                    reject = Reject.model_validate_json(line)
                except ValidationError:
                    self._problems.append(f"{key} has a line that is no reject")
                    continue
                is_theirs = normal_id(reject.found) in self._ids
                if reject.raw is not None and not is_theirs:
                    row = RawRow(reject.line, reject.raw.encode(errors="replace"))
                    is_theirs = self._names_student(source, row)
                if is_theirs:
                    yield {"key": key, **reject.model_dump()}

    def _letters(self, who: Person) -> Iterator[dict[str, Any]]:
        """Yield, for each dead letter, the student's records, findings and rejects. Other people's are left out."""
        with suppress(Rejected):  # the embedded broker has no dead letters
            for queue, theirs in self._elsewhere.letters(lambda body: Scrubbed(who, body).taken):
                yield {"queue": queue, "theirs": theirs}

    def _views(self, who: Person) -> Iterator[dict[str, Any]]:
        """Yield the views that the student saved or that name the student. The owner of a view is left out."""
        written = written_by_others(who)
        for text in self._elsewhere.views():
            try:
                view = SavedView.model_validate_json(text)
            except ValidationError:
                self._problems.append("A saved view could not be read")
                continue
            if is_named_in(view, who, written):
                own = view.person is not None and who.is_among((view.person,))
                if view.state.kind == "list" and not own:
                    view = _with_nobody_else(view, who)
                yield {"own": own, **view.model_dump(mode="json", exclude={"person"})}

    def _digests(self, who: Person) -> Iterator[dict[str, Any]]:
        """Yield the subscriptions of the person to weekly mails."""
        for text in self._elsewhere.digests():
            try:
                digest = DigestSubscription.model_validate_json(text)
            except ValidationError:
                self._problems.append("A subscription to a weekly mail could not be read")
                continue
            if who.is_among((digest.person,)):
                yield digest.model_dump(mode="json")

    def _labelled(self) -> Iterator[dict[str, Any]]:
        """Yield the student's labelled mistakes that the offline analyser has learned from."""
        for key in fit_keys(self._blobs):
            try:
                _, rows = read_fit(self._blobs, key)
            except (ValueError, BlobMissing):
                self._problems.append(f"{key} could not be read")
                continue
            for row in rows:
                if not self._ids.isdisjoint(row.students):
                    yield {"key": key, **row.model_dump(mode="json")}

    def _names_student(self, source: Source, row: RawRow) -> bool:
        """Return whether a row names the student. A row that cannot be decoded names nobody."""
        people = people_of(source, row)
        return people is not None and not self._ids.isdisjoint(people.ids)


def own_part(value: Any, ids: AbstractSet[str]) -> Any:
    """Return an entry of Redis without the parts of a draft that are about others. `ids` are those of the student.

    Other entries are returned as they are.
    """
    if not isinstance(value, dict):
        return value
    result = value.get("result")
    if not isinstance(result, dict) or "is_draft" not in result:
        return value
    draft = Draft.model_validate(result)
    records = tuple(record for record in draft.records if record.student_id in ids)
    numbers = {record.number for record in records}
    sentences = []
    for sentence in draft.sentences:
        if numbers.issuperset(sentence.cites):
            sentences.append(sentence)
    update = {
        "records": records,
        "sentences": tuple(sentences),
        "student_ids": tuple(each for each in draft.student_ids if each in ids),
    }
    return {**value, "result": draft.model_copy(update=update).model_dump(mode="json")}


def _with_nobody_else(view: SavedView, who: Person) -> SavedView:
    """Return a list of somebody else with the person alone: the other students are not for their copy."""
    students = view.state.values.get("students", ())
    return view.with_students(each for each in students if who.is_among((each,)))
