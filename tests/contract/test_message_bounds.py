"""The bounds of each field of a task's message: the last value that is taken, and the first that is refused."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from edugraph_common.contracts import messages
from edugraph_common.contracts.drafts import (
    Draft,
    DraftBasis,
    DraftRecord,
    DraftSentence,
    DraftStudent,
)
from edugraph_common.contracts.messages import (
    AdmitPerson,
    Analysis,
    AnalysisBatch,
    AnalysisWindow,
    ByteRange,
    ChooseQuestion,
    CompareNames,
    CourseContext,
    ErasePerson,
    ExportStudent,
    Findings,
    ImportBatch,
    ImportJob,
    LiveBatch,
    LivePart,
    LiveTexts,
    Message,
    NamedPoint,
    OutsideFile,
    ProposedPair,
    ProposedPairs,
    ReadAgain,
    RemoveFromGraph,
    RenameInGraph,
    RestrictStudent,
    SplitSource,
    UndoImport,
    WriteDraft,
    WriteReviews,
    own_contexts,
)
from edugraph_common.contracts.records import Record, parse_record
from edugraph_common.contracts.wordings import ChosenQuestion, NamedThing, WordsBasis

GOLDEN = Path(__file__).parent / "golden"
JOB = {"job_id": "j"}
RANGE = {"source": "s", "offset": 0, "length": 0, "first_line": 1}
BATCH = {**JOB, "batch": 0}
PART = {"acceptance": 1, "records": [{}]}
TEXTS = {"most": 1, "day": "2026-09-21", "share_percent": 1}
LIVE = {**JOB, "parts": [PART]}
OF_A_KIND = {**BATCH, "kind": "error"}
PACK = {**JOB, "pack": "p", "kind": "error", "records": [{}]}
REFERRED = {**JOB, "pack": "p", "kind": "error", "rows": RANGE, "count": 1}
FOUND = {**JOB, "pack": "p", "findings": []}

# contract, the rest of the message, field, what is taken last, what is refused first
BOUNDS: list[tuple[type[Any], dict[str, Any], str, list[Any], list[Any]]] = [
    (Message, {}, "job_id", ["j", "j" * 64], ["", "j" * 65, None]),
    (ByteRange, RANGE, "offset", [0], [-1]),
    (ByteRange, RANGE, "length", [0], [-1]),
    (ByteRange, RANGE, "first_line", [1], [0]),
    (ByteRange, RANGE, "format", ["ndjson", "csv", "xapi", "openedx"], ["xml"]),
    (ImportJob, JOB, "compression", [None, "gzip", "zstd"], ["zip"]),
    (ImportJob, JOB, "batch_size", [1, 10_000], [0, 10_001]),
    (ImportJob, JOB, "parallel_batches", [1, 1_000], [0, 1_001]),
    (ImportJob, JOB, "next_batch", [0], [-1]),
    (ImportJob, JOB, "generation", [0], [-1]),
    (ImportJob, JOB, "unpacked_bytes", [None, 0], [-1]),
    (ImportBatch, BATCH, "batch", [0], [-1]),
    (ImportBatch, BATCH, "first_line", [1], [0]),
    (ImportBatch, BATCH, "expected", [None, 0], [-1]),
    (ImportBatch, BATCH, "generation", [0], [-1]),
    (LivePart, PART, "acceptance", [0], [-1]),
    (LivePart, PART, "records", [[{}]], [[]]),
    (LivePart, {"acceptance": 1}, "packed", ["x"], [""]),
    (LiveTexts, TEXTS, "most", [1], [0]),
    (LiveTexts, TEXTS, "share_percent", [1, 100], [0, 101]),
    (LiveBatch, LIVE, "parts", [[PART]], [[]]),
    (AnalysisBatch, OF_A_KIND, "batch", [0], [-1]),
    (AnalysisBatch, OF_A_KIND, "expected", [None, 0], [-1]),
    (AnalysisBatch, OF_A_KIND, "kind", ["interaction", "error", "knowledge_points"], ["mood"]),
    (AnalysisBatch, OF_A_KIND, "pack_records", [None, 1, 100], [0, 101]),
    (AnalysisBatch, OF_A_KIND, "share_percent", [None, 1, 100], [0, 101]),
    (Analysis, PACK, "share_percent", [None, 1, 100], [0, 101]),
    (AnalysisWindow, JOB, "generation", [None, 0], [-1]),
    (Analysis, REFERRED, "count", [1, 100], [0, 101]),
    (Analysis, REFERRED, "first", [0], [-1]),
    (Analysis, PACK, "pack", ["p", "p" * 128], ["", "p" * 129]),
    (Analysis, PACK, "records", [[{}], [{}] * 100], [[], [{}] * 101]),
    (Findings, FOUND, "pack", ["p", "p" * 128], ["", "p" * 129]),
    (Findings, FOUND, "edition", [None, "e" * 64], ["e" * 65]),
    (ErasePerson, JOB, "ids", [("s",), ("s" * 128,) * 20], [(), ("",), ("s" * 129,), ("s",) * 21]),
    (
        ErasePerson,
        {**JOB, "ids": ["s"]},
        "names",
        [(), ("Al",), ("a" * 500,) * 20],
        [("a",), ("a" * 501,), ("Al",) * 21],
    ),
    (AdmitPerson, JOB, "ids", [("s",), ("s" * 128,) * 20], [(), ("",), ("s",) * 21]),
]
WHOLE = ([0], [-1])
STUDENT_ID = (["s", "s" * 128], ["", "s" * 129])
POINT = {"id": "p", "name": "P"}
PAIR = {"pair": ["p", "q"], "likeness": 0.5}
SHOWN = {"number": 1, "record_id": "r", "student_id": "s", "at": "2026-01-05"}
WRITER = [{"student_id": "s"}]


def numbered(count: int) -> list[dict[str, Any]]:
    return [{**SHOWN, "number": number} for number in range(1, count + 1)]


ASKABLE = {"name": "weak-points", "title": "t", "parameters": []}
WORDS = {"text": "t", "today": "2026-11-11", "course_ids": ["c"], "questions": [ASKABLE]}
WORDED = {**JOB, "basis": WORDS, "permit": "0" * 64}
CHOSEN = {**JOB, "state": "chosen"}
BASIS = {"kind": "summary", "course_id": "c", "students": WRITER, "records": numbered(1)}
DRAFT = {**JOB, "basis": BASIS, "permit": "0" * 64}
REVIEW = json.loads((GOLDEN / "write_reviews.v1.json").read_text(encoding="utf-8"))["reviews"][0]
BOUNDS += [
    (OutsideFile, {}, "size", [None, 0], [-1]),
    (ByteRange, RANGE, "format", ["workbook", "parquet"], [""]),
    (Analysis, PACK, "generation", [None, *WHOLE[0]], WHOLE[1]),
    (AnalysisBatch, OF_A_KIND, "generation", [None, *WHOLE[0]], WHOLE[1]),
    (Findings, FOUND, "generation", [None, *WHOLE[0]], WHOLE[1]),
    (Findings, FOUND, "withheld", *WHOLE),
    (Findings, FOUND, "textless", *WHOLE),
    (
        SplitSource,
        JOB,
        "then",
        ["import_records_with_callback", "import_records_async"],
        ["import_records"],
    ),
    (NamedPoint, POINT, "id", ["p", "p" * 8_000], ["", "p" * 8_001]),
    (NamedPoint, POINT, "name", ["P", "P" * 200], ["", "P" * 201]),
    (NamedPoint, POINT, "said", [[], ["P", "P" * 200]], [["P"] * 3, [""], ["P" * 201], None]),
    (CompareNames, JOB, "points", [[], [POINT] * 10_000], [[POINT] * 10_001, None]),
    (WriteDraft, DRAFT, "permit", ["0" * 64], ["0" * 63, "g" * 64, ""]),
    (DraftBasis, BASIS, "kind", ["feedback", "summary"], ["mail"]),
    (DraftBasis, BASIS, "language", ["en", "zh"], ["de"]),
    (DraftBasis, BASIS, "course_name", [None, "n" * 200], ["n" * 201]),
    (DraftBasis, BASIS, "students", [WRITER], [[], [{"student_id": "s2"}], WRITER * 41]),
    (DraftBasis, BASIS, "records", [numbered(40)], [[], numbered(41), numbered(1) * 2]),
    (DraftRecord, SHOWN, "number", [1, 40], [0, 41]),
    (DraftRecord, SHOWN, "record_id", ["r", "r" * 400], ["", "r" * 401]),
    (DraftRecord, SHOWN, "at", ["2026", "2" * 40], ["2" * 41]),
    (DraftRecord, SHOWN, "outcome", [None, 0, 1_000], [-1, 1_001]),
    (DraftRecord, SHOWN, "item", [None, "i" * 200], ["i" * 201]),
    *((DraftRecord, SHOWN, name, [None, "t" * 400], ["t" * 401]) for name in ("text", "question")),
    *(
        (DraftRecord, SHOWN, name, [[], ["n" * 200] * 5], [["n"] * 6, ["n" * 201]])
        for name in ("error_types", "knowledge_points")
    ),
    (DraftStudent, {"student_id": "s"}, "name", [None, "n" * 200], ["n" * 201]),
    (DraftSentence, {"text": "t"}, "cites", [[1]], [[], None]),
    (
        Draft,
        {**JOB, "state": "draft", "kind": "summary", "course_id": "c", "student_ids": ["s"]},
        "sentences",
        [[], [{"text": "t", "cites": [1]}] * 6],
        [[{"text": "t", "cites": [1]}] * 7, [{"text": "t", "cites": []}]],
    ),
    (ChooseQuestion, WORDED, "permit", ["0" * 64], ["0" * 63, "g" * 64, ""]),
    (WordsBasis, WORDS, "text", ["t", "t" * 1_500], ["", "t" * 1_501]),
    (WordsBasis, WORDS, "language", ["en", "zh"], ["de"]),
    (WordsBasis, WORDS, "today", ["2026-11-11"], ["today", "2026-11-1"]),
    (WordsBasis, WORDS, "current", [None, "c1", "c99"], ["c0", "c100", "<c1>", "x1"]),
    (WordsBasis, WORDS, "course_ids", [["c"], ["c"] * 10], [[], ["c"] * 11]),
    (WordsBasis, WORDS, "student_ids", [[], ["s"] * 100], [["s"] * 101]),
    (WordsBasis, WORDS, "named", [[], [{"mark": "s1"}] * 30], [[{"mark": "s1"}] * 31]),
    (WordsBasis, WORDS, "questions", [[ASKABLE] * 100], [[], [ASKABLE] * 101]),
    (NamedThing, {}, "mark", ["s1", "p30"], ["s0", "S1", "s1 ", ""]),
    (NamedThing, {"mark": "c1"}, "name", [None, "n" * 200], ["n" * 201]),
    (ChosenQuestion, CHOSEN, "question", [None, "weak-points"], ["Weak", "a;b", "q" * 41]),
    (
        ChosenQuestion,
        CHOSEN,
        "parameters",
        [{}, {"student": "s1"}, {"from": "2026-11-02"}],
        [{"student": "Anna"}, {"Cypher": "s1"}, {"from": "MATCH"}, {"from": 1}],
    ),
    (ProposedPair, PAIR, "likeness", [-1, 1], [-1.001, 1.001]),
    (ProposedPair, PAIR, "pair", [["p", "q"]], [["p"], ["p", ""], ["p", "q", "r"]]),
    (ProposedPairs, JOB, "encoder", [None, "e" * 128], ["e" * 129]),
    (ProposedPairs, JOB, "compared", *WHOLE),
    (WriteReviews, JOB, "reviews", [[REVIEW], [REVIEW] * 1_000], [[], [REVIEW] * 1_001]),
    *((contract, JOB, "student_id", *STUDENT_ID) for contract in (ExportStudent, RestrictStudent)),
    (UndoImport, JOB, "import_id", ["j", "j" * 64], ["", "j" * 65]),
    (RemoveFromGraph, {**JOB, "of": "course"}, "node_id", *STUDENT_ID),
    (ReadAgain, JOB, "course_id", *STUDENT_ID),
    (RemoveFromGraph, {**JOB, "node_id": "c"}, "of", ["course", "group"], ["student"]),
    (RenameInGraph, {**JOB, "of": "course", "new_id": "n"}, "node_id", *STUDENT_ID),
    (RenameInGraph, {**JOB, "of": "course", "node_id": "s"}, "new_id", *STUDENT_ID),
    (
        RenameInGraph,
        {**JOB, "node_id": "s", "new_id": "n"},
        "of",
        ["course", "group", "item"],
        ["topic"],
    ),
]
IDS = [f"{contract.__name__}.{field}" for contract, _, field, _, _ in BOUNDS]


@pytest.mark.parametrize(("contract", "rest", "field", "taken", "refused"), BOUNDS, ids=IDS)
def test_the_last_value_is_taken_and_the_next_one_refused(
    contract: type[Any], rest: dict[str, Any], field: str, taken: list[Any], refused: list[Any]
) -> None:
    for value in taken:
        assert contract.model_validate({**rest, field: value})
    for value in refused:
        with pytest.raises(ValidationError, match=field):
            contract.model_validate({**rest, field: value})


def test_every_bound_of_a_message_is_here() -> None:
    """Those of a pack's findings have a test of their own."""
    told = {(contract, field) for contract, _, field, _, _ in BOUNDS} | {(Findings, "findings")}
    contracts = {
        one
        for one in vars(messages).values()
        if isinstance(one, type) and issubclass(one, messages.Sent)
    }
    bounded = {
        (contract, field)
        for contract in contracts
        for field, of_field in contract.model_fields.items()
        if of_field.metadata and field in contract.__annotations__
    }
    assert bounded - told == set()


@pytest.mark.parametrize(
    ("before", "later", "told"),
    [
        ({}, {"size": 1, "etag": "a", "modified": "m"}, None),
        ({"size": 1, "etag": "a", "modified": "m"}, {}, None),
        ({"size": 1_500}, {"size": 2_500}, "its size was 1,500 bytes and is 2,500"),
        ({"size": 0, "etag": "a"}, {"size": 1, "etag": "a"}, "its size was 0 bytes and is 1"),
        ({"size": 1}, {"etag": "a"}, None),
        ({"size": 1, "etag": "a"}, {"size": 1, "etag": "b"}, "its etag is another one"),
        ({"etag": "a", "modified": "m"}, {"etag": "a", "modified": "n"}, None),
        (
            {"etag": "a", "modified": "m"},
            {"modified": "n"},
            "the date of its last change is another one",
        ),
        (
            {"modified": "m"},
            {"etag": "b", "modified": "n"},
            "the date of its last change is another one",
        ),
        ({"size": 1, "modified": "m"}, {"size": 1, "modified": "m"}, None),
        ({"modified": "m"}, {"modified": None}, None),
    ],
)
def test_a_file_outside_is_another_one_by_what_was_told_both_times(
    before: dict[str, Any], later: dict[str, Any], told: str | None
) -> None:
    assert OutsideFile(**before).change(OutsideFile(**later)) == told


def test_what_is_known_of_a_course_goes_with_the_records_of_that_course_alone() -> None:
    def mistake(**data: Any) -> Record:
        data = {"student_id": "a", "error_text": "x", **data}
        return parse_record({"type": "error_record", "timestamp": "2026-03-02", "data": data})

    contexts = [CourseContext(course_id=each) for each in "dabc"]
    records = [mistake(course_id="b"), mistake(course_ids=["c", "d"]), mistake(course_id="unknown")]
    assert [each.course_id for each in own_contexts(records, contexts)] == ["d", "b", "c"]


def test_what_was_answered_or_rightly_not_read_is_done() -> None:
    given = json.loads((GOLDEN / "findings.v1.json").read_text(encoding="utf-8"))
    counts = {"failed": 100, "withheld": 10, "textless": 3}
    found = Findings.model_validate({**given, "findings": given["findings"][:1] * 2, **counts})
    assert found.done == 2 + 10 + 3


def test_a_pack_has_its_records_or_refers_to_them() -> None:
    for wrong in ({**PACK, **REFERRED}, {**REFERRED, "rows": None}):
        with pytest.raises(ValidationError, match="exactly one"):
            Analysis.model_validate(wrong)


def test_a_pack_s_findings_are_a_hundred_at_most() -> None:
    given = json.loads((GOLDEN / "findings.v1.json").read_text(encoding="utf-8"))
    [finding, *_] = given["findings"]
    assert len(Findings.model_validate({**given, "findings": [finding] * 100}).findings) == 100
    with pytest.raises(ValidationError, match="at most 100"):
        Findings.model_validate({**given, "findings": [finding] * 101})


def test_what_has_its_default_is_left_out_but_for_the_version() -> None:
    assert Message(job_id="j").model_dump() == {"version": 1, "job_id": "j"}
    assert ImportJob(job_id="j", parallel_batches=64, next_batch=1, deadline=5.0).model_dump() == {
        "version": 1,
        "job_id": "j",
        "next_batch": 1,
        "deadline": 5.0,
    }
    assert ByteRange(**RANGE).model_dump() == RANGE


def test_what_is_sent_at_once_has_these_bounds() -> None:
    """Clients, the gateway and the importer cut by them; a change is told in the changelog."""
    assert messages.JOB_DEADLINE_SECONDS == 604_800
    assert (messages.INLINE_RECORDS, messages.INLINE_BYTES) == (1_000, 1_048_576)
    assert (messages.IMPORT_CONTENT_PACK, messages.REQUEST_CONTENT_PACK) == (4, 10)
