"""What a finding adds to the aggregates and what it takes back, decided without a graph."""

from collections import Counter
from typing import Any

import pytest
from neo4j.time import DateTime
from statements import Transaction

from edugraph_common.contracts.findings import (
    ContentFinding,
    ErrorFinding,
    Finding,
    FoundErrorType,
    FoundPoint,
    InteractionFinding,
    LinkedPoint,
    Origin,
    RecordFinding,
)
from edugraph_common.contracts.records import Record, parse_record
from edugraph_importer.graph.finding_facts import (
    NO_FACTS,
    FindingChanges,
    FindingUpdate,
    facts_of,
    stored_text,
)
from edugraph_importer.graph.model import Outdated, version_key
from edugraph_importer.graph.sums import raise_contains, related, related_by_links, write_related
from edugraph_importer.graph.take_back import item_names, mentions, recompute
from edugraph_importer.graph.unit_of_work import UnitOfWork, delete_orphans

ORIGIN = Origin(analyser="model", model="m", prompt_version="1")
KEY = "2026-01-01T00:00:00.000000Z|r"


def record(kind: str, **data: Any) -> Record:
    return parse_record(
        {"type": kind, "timestamp": "2026-01-01T00:00:00Z", "record_id": "r", "data": data}
    )


def mistake(**data: Any) -> Record:
    return record("error_record", student_id="a", course_id="c", error_text="x", **data)


CHAT = record(
    "student_interaction", student_id_from="a", student_id_to="b", interaction_type="chat"
)
TEXT = record("course_content", course_id="c", content="x")


def types(*names: str, severity: str | None = None, **strengths: float) -> ErrorFinding:
    return ErrorFinding(
        error_types=tuple(FoundErrorType(name=name, confidence=0.5) for name in names),
        knowledge_points=tuple(
            LinkedPoint(name=name, strength=strength, confidence=0.75)
            for name, strength in strengths.items()
        ),
        severity=severity,
        confidence=1,
    )


def points(*found: FoundPoint) -> ContentFinding:
    return ContentFinding(knowledge_points=found, confidence=1)


def update(of: Record, new: Finding, old: Finding | None = None) -> FindingUpdate:
    text = stored_text(RecordFinding(record=of.to_json(), finding=new, origin=ORIGIN))
    return FindingUpdate(of, NO_FACTS if old is None else facts_of(old), facts_of(new), text)


def added(*updates: FindingUpdate) -> tuple[FindingChanges, UnitOfWork]:
    changes, staged = FindingChanges(), UnitOfWork.staged()
    for each in updates:
        staged.add(changes.add(each))
    return changes, staged


# --- mistakes, and what they relate to ----------------------------------------------------------------------------


def test_a_type_that_is_found_first_is_counted_and_related_and_nothing_is_recomputed() -> None:
    made, staged = added(
        update(mistake(occurrence_count=3), types("Sign", severity="high", fractions=0.25))
    )
    [(key, totals)] = staged.sums.mistakes.items()
    assert key == ("a", "sign", "c")
    assert (totals.count, totals.weight) == (3, 3 * 2.0)
    assert made.related == related({("sign", "fractions"): (0.25, 0.75)})
    assert not any([made.outdated.mistakes, made.unlinked])


def test_a_type_that_the_record_states_is_not_counted_again() -> None:
    _, staged = added(update(mistake(error_type="Sign"), types("sign")))
    assert not staged.sums.mistakes


def test_a_type_that_is_no_longer_found_is_recomputed_in_each_course_and_one_that_stays_is_not() -> (
    None
):
    of = record(
        "error_record", student_id="a", course_ids=["c", "d"], error_text="x", error_type="Stated"
    )
    made, staged = added(update(of, types("Stays", "New", p=0.5), types("Stays", "Gone", p=0.5)))
    assert made.outdated.mistakes == {("a", "gone", "c"), ("a", "gone", "d")}
    assert staged.sums.mistakes.keys() == {("a", "new", "c"), ("a", "new", "d")}
    assert +made.related == related({("new", "p"): (0.5, 0.75)})
    assert -made.related == related({("gone", "p"): (0.5, 0.75)})
    assert made.unlinked == {("ErrorType", "gone")}


def test_with_another_severity_all_mistakes_of_a_record_are_recomputed() -> None:
    of = mistake(error_type="Stated")
    made, _ = added(update(of, types("Found", severity="high"), types("Found", severity="low")))
    assert made.outdated.mistakes == {("a", "stated", "c"), ("a", "found", "c")}
    same, _ = added(update(of, types("Found", severity="low"), types("Found", severity="low")))
    assert not same.outdated.mistakes
    given, _ = added(
        update(mistake(severity="low"), types("F", severity="high"), types("F", severity="low"))
    )
    assert not given.outdated.mistakes  # the record's own severity weighs


def test_a_pair_whose_strength_changed_is_of_no_more_records() -> None:
    made, _ = added(update(mistake(), types("Sign", p=0.75), types("Sign", p=0.25)))
    sums = {
        ("sign", "p", "records"): 0,
        ("sign", "p", "strength_sum"): 500,
        ("sign", "p", "confidence_sum"): 0,
    }
    assert dict(made.related) == sums
    made, _ = added(update(mistake(), types("Sign", p=0.25), types("Sign", p=0.25)))
    assert not any(made.related.values())


@pytest.mark.parametrize("strengths", [(0.25, 0.75), (0.75, 0.25)])
def test_what_two_records_say_of_a_pair_adds_up(strengths: tuple[float, float]) -> None:
    made, _ = added(*(update(mistake(), types("Sign", p=strength)) for strength in strengths))
    sums = {
        ("sign", "p", "records"): 2,
        ("sign", "p", "strength_sum"): 1_000,
        ("sign", "p", "confidence_sum"): 1_500,
    }
    assert dict(made.related) == sums


# --- contents -----------------------------------------------------------------------------------------------------


def test_a_point_of_a_text_is_raised_and_described() -> None:
    made, staged = added(
        update(
            TEXT,
            points(
                FoundPoint(
                    name="Slope", description="rise", category="lines", order=2, importance="core"
                )
            ),
        )
    )
    assert made.raised_contains == {("c", "slope"): ("core", 2)}
    assert staged.fields["KnowledgePoint", "slope"] == {
        "description": ("rise", KEY),
        "category": ("lines", KEY),
    }
    assert staged.spellings["KnowledgePoint", "slope"] == {"Slope": 1}
    assert not any([made.outdated.contains, made.outdated.descriptions, made.unlinked])


@pytest.mark.parametrize("order", [(1, 2), (2, 1), (None, 1), (1, None)])
@pytest.mark.parametrize("importance", [("core", "supplementary"), ("supplementary", "core")])
def test_of_two_texts_core_and_the_smaller_order_raise_a_point(order: Any, importance: Any) -> None:
    both = zip(order, importance, strict=True)
    made, _ = added(
        *(update(TEXT, points(FoundPoint(name="p", order=at, importance=how))) for at, how in both)
    )
    assert made.raised_contains == {("c", "p"): ("core", 1)}


def test_a_point_without_an_order_has_none() -> None:
    made, _ = added(
        *(update(TEXT, points(FoundPoint(name="p", importance="core"))) for _ in range(2))
    )
    assert made.raised_contains == {("c", "p"): ("core", None)}


def test_a_point_that_changed_or_is_gone_is_recomputed() -> None:
    old = points(
        FoundPoint(name="same", order=1, importance="core"),
        FoundPoint(name="changed", order=2, importance="core"),
        FoundPoint(name="gone", order=3, importance="core"),
    )
    new = points(
        FoundPoint(name="same", order=1, importance="core"),
        FoundPoint(name="changed", order=1, importance="core"),
    )
    made, _ = added(update(TEXT, new, old))
    assert made.outdated.contains == {("c", "changed"), ("c", "gone")}
    assert made.raised_contains == {}
    assert made.unlinked == {("KnowledgePoint", "gone")}


def test_a_description_that_was_taken_back_is_recomputed() -> None:
    def point(name: str, text: str | None) -> FoundPoint:
        return FoundPoint(name=name, description=text, importance="core")

    old = points(
        point("same", "x"),
        point("changed", "x"),
        point("omitted", "x"),
        point("gone", "x"),
        point("first", None),
    )
    new = points(
        point("same", "x"), point("changed", "y"), point("omitted", None), point("first", "x")
    )
    made, staged = added(update(TEXT, new, old))
    assert made.outdated.descriptions == {"changed", "omitted", "gone"}
    assert staged.fields["KnowledgePoint", "changed"]["description"] == ("y", KEY)
    assert staged.fields["KnowledgePoint", "first"]["description"] == ("x", KEY)


# --- names --------------------------------------------------------------------------------------------------------


def topics(*names: str) -> InteractionFinding:
    return InteractionFinding(sentiment=None, topics=names, confidence=1)


def test_a_spelling_that_is_no_longer_found_is_taken_back() -> None:
    made, staged = added(update(CHAT, topics("ALGEBRA", "Sets"), topics("Algebra", "Sets", "Gone")))
    assert made.unlinked == {("Topic", "gone")}
    assert staged.spellings["Topic", "algebra"] == {"ALGEBRA": 1, "Algebra": -1}
    assert (staged.spellings["Topic", "gone"], +staged.spellings["Topic", "sets"]) == (
        {"Gone": -1},
        {},
    )
    assert not made.outdated.spellings


# --- the rows of an update ----------------------------------------------------------------------------------------


def test_an_update_names_all_nodes_that_it_may_change() -> None:
    nodes = set(update(CHAT, topics("New"), topics("Old")).nodes())
    assert {("Student", "a"), ("Student", "b"), ("Topic", "new"), ("Topic", "old")} <= nodes


def test_a_link_has_the_strongest_of_what_was_found_under_its_names() -> None:
    found = ErrorFinding(
        error_types=tuple(
            FoundErrorType(name=name, confidence=each)
            for name, each in (("Sign", 0.25), ("SIGN", 0.75))
        ),
        confidence=1,
    )
    changes, _ = added(update(mistake(), found))
    assert changes.rows["link_OF_TYPE_ErrorRecord"] == [
        {"id": "r", "end": "sign", "p": {"found_as": ["SIGN", "Sign"], "confidence": 0.75}}
    ]


def test_an_update_writes_the_finding_its_links_and_what_it_unlinks() -> None:
    changes, staged = added(update(CHAT, topics("New"), topics("Old")))
    rows = changes.rows
    assert {("Topic", "new"), ("Topic", "old"), ("Student", "a")} <= staged.nodes
    [finding] = rows["set_finding_Interaction"]
    text = stored_text(RecordFinding(record=CHAT.to_json(), finding=topics("New"), origin=ORIGIN))
    assert (finding["id"], finding["p"]["finding"], finding["p"]["found_model"]) == ("r", text, "m")
    assert rows["unlink_ABOUT_Interaction"] == [{"id": "r", "end": "old"}]
    assert rows["link_ABOUT_Interaction"] == [{"id": "r", "end": "new", "p": {"found_as": ["New"]}}]


# --- computing anew -----------------------------------------------------------------------------------------------


def at(day: int) -> DateTime:
    return DateTime.fromisoformat(f"2026-01-0{day}T00:00:00.000000000+00:00")


def test_updates_are_raised_then_recomputed_and_rows_come_in_order() -> None:
    made, _ = added(
        update(mistake(), types("Beta", "Alpha", p=0.5)),
        update(TEXT, points(FoundPoint(name="q", order=1, importance="core"))),
    )
    made.outdated.relates_to, made.outdated.contains, made.outdated.mistakes = (
        {("x", "p"), ("w", "p")},
        {("c", "z")},
        {("a", "x", "c")},
    )
    made.outdated.spellings, made.outdated.descriptions = {("Topic", "t")}, {"d"}
    said = {"from": "w", "to": "p", "strength": 1.0, "confidence": 0.25}
    tx = Transaction(recompute_relates_to=[said, said | {"to": "q"}, said | {"strength": 0.125}])
    made.related.subtract(related({("beta", "p"): (0.5, 0.75), ("gone", "p"): (0.25, 0.25)}))
    write_related(tx, made.related)
    raise_contains(tx, made.raised_contains)
    recompute(tx, UnitOfWork.staged(), made.outdated)
    assert tx.rows("add_relates_to") == [
        {"from": "alpha", "to": "p", "records": 1, "strength_sum": 500, "confidence_sum": 750},
        {"from": "gone", "to": "p", "records": -1, "strength_sum": -250, "confidence_sum": -250},
        {"from": "w", "to": "p", "records": 2, "strength_sum": 1_125, "confidence_sum": 500},
    ]
    assert [row["from"] for row in tx.rows("remove_unrelated")] == ["gone"]
    assert tx.rows("raise_contains") == [{"from": "c", "to": "q", "importance": "core", "order": 1}]
    both = [{"from": "w", "to": "p"}, {"from": "x", "to": "p"}]
    assert tx.rows("remove_relates_to") == both
    assert tx.rows("recompute_contains") == tx.rows("remove_contains") == [{"from": "c", "to": "z"}]
    assert (
        tx.rows("recompute_has_error")
        == tx.rows("remove_has_error")
        == [{"student": "a", "type": "x", "course": "c"}]
    )
    names = tx.names()
    assert dict(tx.asked)["recompute_relates_to"] == {"ids": ["w", "x"]}
    assert dict(tx.asked)["spellings_Topic"] == {"ids": ["t"]}
    assert dict(tx.asked)["descriptions"] == {"ids": ["d"]}
    assert names.index("remove_relates_to") < len(names) - names[::-1].index("add_relates_to") - 1


def test_nothing_is_asked_for_nothing() -> None:
    tx = Transaction()
    raise_contains(tx, {})
    write_related(tx, related({}))
    recompute(tx, UnitOfWork.staged(), Outdated())
    assert tx.asked == []


def test_mistakes_are_summed_with_their_weights_and_the_latest_word_on_them() -> None:
    def row(
        day: int, count: int, severity: str | None, resolved: bool | None, course: str = "c"
    ) -> dict[str, Any]:
        return {
            "student": "a", "type": "t", "course": course, "timestamp": at(day), "record": f"r{day}",
            "count": count, "severity": severity, "resolved": resolved,
        }  # fmt: skip

    rows = [
        row(2, 2, "low", True),
        row(1, 1, "high", None),
        row(3, 4, None, None),
        row(1, 1, "low", False, "d"),
    ]
    tx = Transaction(recompute_has_error=rows)
    recompute(tx, UnitOfWork.staged(), Outdated(mistakes={("a", "t", "d"), ("a", "t", "c")}))
    c, d = sorted(tx.rows("add_has_error"), key=lambda each: str(each["course"]))
    assert (c["count"], c["weight"]) == (7, 2 * 0.5 + 1 * 2.0 + 4 * 1.0)
    assert (c["first"], c["last"]) == ("2026-01-01T00:00:00.000000Z", "2026-01-03T00:00:00.000000Z")
    assert (c["resolved"], d["resolved"], d["count"]) == (True, False, 1)
    assert tx.names() == ["recompute_has_error", "remove_has_error", "add_has_error"]


def test_the_latest_lesson_with_feedback_decides_the_feedback() -> None:
    def row(day: int, count: int, feedback: str | None, to: str = "b") -> dict[str, Any]:
        return {
            "from": "t",
            "to": to,
            "count": count,
            "feedback": feedback,
            "timestamp": at(day),
            "record": f"r{day}",
        }

    rows = [row(3, 1, None), row(1, 2, "first"), row(2, 4, "second"), row(1, 1, None, "c")]
    tx = Transaction(recompute_teaches=rows)
    recompute(tx, UnitOfWork.staged(), Outdated(interactions={"teaches": {("t", "c"), ("t", "b")}}))
    assert tx.rows("remove_teaches") == [{"from": "t", "to": "b"}, {"from": "t", "to": "c"}]
    stamp = "2026-01-02T00:00:00.000000Z|r2"
    by_student = {each["to"]: each for each in tx.rows("add_teaches")}
    assert by_student["b"] == {
        "from": "t",
        "to": "b",
        "count": 7,
        "feedback": "second",
        "stamp": stamp,
        "last": "2026-01-03T00:00:00.000000Z",
    }
    assert (by_student["c"]["count"], by_student["c"]["feedback"], by_student["c"]["stamp"]) == (
        1,
        None,
        None,
    )


def test_totals_of_chats_are_those_of_the_chats_that_stay() -> None:
    def chat(day: int, count: int) -> dict[str, Any]:
        row = {"from": "a", "to": "b", "count": count, "feedback": None}
        return row | {"timestamp": at(day), "record": f"r{day}"}

    tx = Transaction(recompute_chat_with=[chat(2, 3), chat(1, 4)])
    recompute(tx, UnitOfWork.staged(), Outdated(interactions={"chat_with": {("a", "b")}}))
    last = "2026-01-02T00:00:00.000000Z"
    totals = {"count": 7, "last": last, "feedback": None, "stamp": None}
    assert tx.rows("add_chat_with") == [{"from": "a", "to": "b", **totals}]
    assert tx.names() == ["recompute_chat_with", "remove_chat_with", "add_chat_with"]
    empty = Transaction()
    recompute(empty, UnitOfWork.staged(), Outdated(interactions={"likes": set()}))
    assert empty.asked == []


def test_spellings_are_made_anew_from_the_mentions_that_stay() -> None:
    unit = UnitOfWork.staged()
    unit.spellings["Topic", "t"] = Counter({"GONE": 1, "t": 7})
    mentions = [
        {"id": "t", "spelling": "T", "records": 1},
        {"id": "t", "spelling": "t", "records": 2},
    ]
    tx = Transaction(spellings_Topic=mentions)
    recompute(tx, unit, Outdated(spellings={("Topic", "u"), ("Topic", "t")}))
    assert unit.spellings["Topic", "t"] == {"t": 2, "T": 1}
    assert unit.spellings["Topic", "u"] == {}
    assert unit.changed_nodes == {("Topic", "t"), ("Topic", "u")}
    assert tx.asked == [("spellings_Topic", {"ids": ["t", "u"]})]


def test_what_items_that_test_a_point_call_it_are_its_spellings_too() -> None:
    unit = UnitOfWork.staged()
    tests = [
        {"id": "p", "spellings": ["P", "p"], "spelling_counts": [2, 1]},
        {"id": "p", "spellings": ["P"], "spelling_counts": [4]},
        {"id": "q", "spellings": None, "spelling_counts": None},
    ]
    tx = Transaction(
        spellings_KnowledgePoint=[{"id": "p", "spelling": "p", "records": 8}],
        tested_spellings=tests,
    )
    recompute(tx, unit, Outdated(spellings={("KnowledgePoint", "p"), ("KnowledgePoint", "q")}))
    assert unit.spellings["KnowledgePoint", "p"] == {"P": 6, "p": 9}
    assert unit.spellings["KnowledgePoint", "q"] == {}
    ids = {"ids": ["p", "q"]}
    assert tx.asked == [("spellings_KnowledgePoint", ids), ("tested_spellings", ids)]


@pytest.mark.parametrize(
    ("label", "kind", "stated", "found", "spellings"),
    [
        ("KnowledgePoint", "CONCERNS", ["P"], ["p", "P!"], ["P", "p", "P!"]),
        ("Topic", "ABOUT", None, ["T"], ["T"]),
        ("ErrorType", "OF_TYPE", ["Sign"], None, ["Sign"]),
        ("KnowledgePoint", "DEFINES", ["What a definition calls it"], None, []),
        ("Course", "IN_COURSE", ["Courses have a name, and no spellings"], None, []),
    ],
)
def test_a_link_spells_its_end_as_the_record_states_it_and_as_was_found(
    label: str, kind: str, stated: list[str] | None, found: list[str] | None, spellings: list[str]
) -> None:
    row = {"label": label, "type": kind, "end": "e", "stated": stated, "found": found}
    assert list(mentions(row)) == [((label, "e"), each) for each in spellings]


def test_what_a_record_relates_is_each_of_its_types_with_each_of_its_points() -> None:
    """The links of a record come in any order, and those of other records or other kinds add nothing."""

    def link(of: str, kind: str, end: str, strength: float | None = None) -> dict[str, Any]:
        confidence = None if strength is None else 2 * strength
        return {
            "record": of,
            "type": kind,
            "end": end,
            "strength": strength,
            "confidence": confidence,
        }

    links = [
        link("r", "CONCERNS", "p", 0.25),
        link("r", "OF_TYPE", "t"),
        link("r", "OF_TYPE", "u"),
        link("r", "CONCERNS", "q", 0.5),
        link("s", "CONCERNS", "p", 0.125),
        link("s", "OF_TYPE", "t"),
        link("without-type", "CONCERNS", "p", 0.5),
        link("without-point", "OF_TYPE", "t"),
        link("r", "TRIED", "a"),
    ]
    found = related_by_links(links)
    expected = related(
        {(kind, "p"): (0.25, 0.5) for kind in "tu"} | {(kind, "q"): (0.5, 1.0) for kind in "tu"}
    )
    assert found == expected + related({("t", "p"): (0.125, 0.25)})


def test_practice_is_made_anew_from_the_attempts_that_stay() -> None:
    def attempt(
        day: int, outcome: int, number: int | None = None, item: str = "i"
    ) -> dict[str, Any]:
        return {
            "item": item, "record": f"r{day}", "timestamp": at(day), "number": number,
            "outcome": outcome,
        }  # fmt: skip

    attempts = [attempt(3, 1000, 2), attempt(2, 250, 1), attempt(1, 0, item="j")]
    tx = Transaction(recompute_practised=[{"student": "a", "attempts": attempts}])
    recompute(tx, UnitOfWork.staged(), Outdated(practised={("b", "i"), ("a", "j"), ("a", "i")}))
    asked = [{"student": "a", "items": ["i", "j"]}, {"student": "b", "items": ["i"]}]
    assert tx.rows("recompute_practised") == tx.rows("remove_practised") == asked
    assert tx.rows("add_practised") == [
        {
            "student": "a", "item": "i", "tries": 2, "right": 1250, "first": 250,
            "first_place": "2026-01-02T00:00:00.000000Z|0000000001|r2", "last": "2026-01-03T00:00:00.000000Z",
        },
        {
            "student": "a", "item": "j", "tries": 1, "right": 0, "first": 0,
            "first_place": "2026-01-01T00:00:00.000000Z|0000000000|r1", "last": "2026-01-01T00:00:00.000000Z",
        },
    ]  # fmt: skip
    assert tx.names() == ["recompute_practised", "remove_practised", "add_practised"]


def test_what_attempts_and_definitions_say_of_items_is_read_from_both() -> None:
    tx = Transaction(
        item_names_Attempt=[
            {"item": "i", "title": "Quiz", "points": ["Sets"]},
            {"item": "i", "title": None, "points": ["SETS"]},
        ],
        item_names_Definition=[{"item": "i", "title": None, "points": None}],
    )
    names = item_names(tx, {"Attempt": ["s", "r"], "Definition": ["d"], "Interaction": ["x"]})
    assert (names.titles, names.tests) == (
        {"i": {"Quiz": 1}},
        {("i", "sets"): {"Sets": 1, "SETS": 1}},
    )
    assert tx.asked == [
        ("item_names_Attempt", {"ids": ["r", "s"]}),
        ("item_names_Definition", {"ids": ["d"]}),
    ]
    nothing = Transaction()
    assert not item_names(nothing, {}).titles
    assert nothing.asked == []


def test_descriptions_are_made_anew_by_the_latest_text() -> None:
    unit = UnitOfWork.staged()
    unit.fields["KnowledgePoint", "p"] = {"description": ("gone", "2027")}
    rows = [
        {"id": "p", "description": "late", "category": None, "timestamp": at(2), "record": "r"},
        {"id": "p", "description": "early", "category": "lines", "timestamp": at(1), "record": "q"},
    ]
    tx = Transaction(descriptions=rows)
    recompute(tx, unit, Outdated(descriptions={"q", "p"}))
    fields = unit.fields["KnowledgePoint", "p"]
    assert fields == {
        "description": ("late", "2026-01-02T00:00:00.000000Z|r"),
        "category": ("lines", "2026-01-01T00:00:00.000000Z|q"),
    }
    assert unit.fields["KnowledgePoint", "q"] == {}
    assert unit.changed_nodes == {("KnowledgePoint", "p"), ("KnowledgePoint", "q")}
    assert tx.asked == [("descriptions", {"ids": ["p", "q"]})]


def test_fields_are_made_anew_where_a_removed_record_decided_one() -> None:
    unit = UnitOfWork.staged()
    for label in ("Course", "Student", "Teacher"):
        unit.fields[label, "x"] = {"name": ("Old", "k|gone")}
    # One field of a removed record is enough.
    unit.fields["Course", "x"]["difficulty"] = ("advanced", "k|other")
    unit.fields["Student", "untouched"] = {"name": ("Kept", "k|other")}
    unit.fields["Topic", "x"] = {"name": ("Old", "k|gone")}
    learns = {
        "course_name": "Algebra",
        "course_description": "of lines",
        "difficulty": "beginner",
        "student_name": "Ana",
    }
    tx = Transaction(
        names_Student=[{"id": "x", "name": "Early", "timestamp": at(1), "record": "q"}],
        names_Teacher=[{"id": "x", "name": "T", "timestamp": at(1), "record": "q"}],
        **{
            f"latest_of_course_{key}": [{"key": f"x|{KEY}", "name": None, "properties": learns}]
            for key in ("described", "named", "rated")
        },
        course_records_of_Student=[
            {"id": "x", "properties": learns, "timestamp": at(2), "record": "q"}
        ],
    )
    nodes = {(label, "x") for label in ("Course", "Student", "Teacher", "Topic")} | {
        ("Student", "untouched")
    }
    recompute(tx, unit, Outdated(fields=nodes, version_keys={"k|gone"}))
    assert unit.fields["Course", "x"] == {
        "name": ("Algebra", KEY), "description": ("of lines", KEY), "difficulty": ("beginner", KEY),
    }  # fmt: skip
    assert unit.fields["Student", "x"] == {"name": ("Ana", "2026-01-02T00:00:00.000000Z|q")}
    assert unit.fields["Teacher", "x"] == {"name": ("T", "2026-01-01T00:00:00.000000Z|q")}
    assert unit.fields["Student", "untouched"] == {"name": ("Kept", "k|other")}
    assert unit.fields["Topic", "x"] == {"name": ("Old", "k|gone")}
    assert unit.changed_nodes == {("Course", "x"), ("Student", "x"), ("Teacher", "x")}
    assert sorted(tx.names()) == [
        "course_records_of_Student",
        "latest_of_course_described",
        "latest_of_course_named",
        "latest_of_course_rated",
        "names_Student",
        "names_Teacher",
    ]
    assert all(
        parameters in ({"ids": ["x"]}, {"id": "x", "prefix": "x|"}) for _, parameters in tx.asked
    )


@pytest.mark.parametrize(
    ("label", "given", "taken"),
    [
        ("Item", {"title": "Quiz", "question": "1 + 1?"}, {"title": "Quiz", "question": "1 + 1?"}),
        (
            "KnowledgePoint",
            {"name": "Sets", "names": ["Set"]},
            {"title": "Sets", "other_names": ["Set"]},
        ),
        *[("Term", {name: name}, {name: name}) for name in ("name", "starts", "ends", "breaks")],
    ],
)
def test_what_definitions_give_is_made_anew_by_the_latest_that_gives_it(
    label: str, given: dict[str, Any], taken: dict[str, Any]
) -> None:
    unit = UnitOfWork.staged()
    unit.fields[label, "x"] = dict.fromkeys(taken, ("Old", "k|gone"))
    older = dict.fromkeys(given, "older")
    rows = [
        {"id": "x", "record": "r", "timestamp": at(1), "properties": given},
        {"id": "x", "record": "q", "timestamp": at(1), "properties": older},
        {"id": "x", "record": "s", "timestamp": at(2), "properties": {"id": "s"}},
    ]
    tx = Transaction(**{f"definitions_of_{label}": rows})
    recompute(tx, unit, Outdated(fields={(label, "x")}, version_keys={"k|gone"}))
    assert unit.fields[label, "x"] == {name: (value, KEY) for name, value in taken.items()}
    assert unit.changed_nodes == {(label, "x")}
    assert tx.asked == [(f"definitions_of_{label}", {"ids": ["x"]})]


def test_what_texts_give_of_a_point_stays_when_a_definition_of_it_goes() -> None:
    unit, point = UnitOfWork.staged(), ("KnowledgePoint", "p")
    unit.fields[point] = {"title": ("Sets", "k|gone"), "description": ("of a text", "k|text")}
    recompute(Transaction(), unit, Outdated(fields={point}, version_keys={"k|gone"}))
    assert unit.fields[point] == {"description": ("of a text", "k|text")}


def test_where_any_field_may_be_wrong_all_are_made_anew() -> None:
    unit = UnitOfWork.staged()
    unit.fields["Teacher", "x"] = {"name": ("Kept", "k|other")}
    tx = Transaction()
    recompute(tx, unit, Outdated(fields={("Teacher", "x")}, any_field=True))
    assert unit.fields["Teacher", "x"] == {}
    assert tx.names() == ["names_Teacher"]


def test_what_a_student_learns_is_made_anew_from_the_course_records_that_stay() -> None:
    def row(day: int, course: str, **properties: Any) -> dict[str, Any]:
        return {
            "student": "a",
            "course": course,
            "properties": properties,
            "timestamp": at(day),
            "record": f"r{day}",
        }

    rows = [
        row(2, "c", progress=50.0, time_spent=5.0),
        row(1, "c", progress=90.0),
        row(1, "e", time_spent=1.0),
    ]
    unit, tx = UnitOfWork.staged(), Transaction(course_records=rows)
    unit.learns["a", "c"] = unit.learns["a", "d"] = {"progress": (100.0, "2027")}
    recompute(tx, unit, Outdated(learns={("a", "e"), ("a", "d"), ("a", "c")}))
    assert tx.rows("course_records") == [{"student": "a", "course": course} for course in "cde"]
    second = "2026-01-02T00:00:00.000000Z|r2"
    assert unit.learns["a", "c"] == {"progress": (50.0, second), "time_spent": (5.0, second)}
    assert unit.learns["a", "e"]["time_spent"] == (1.0, "2026-01-01T00:00:00.000000Z|r1")
    assert ("a", "d") not in unit.learns
    assert (unit.changed_learns, unit.new_learns) == ({("a", "c")}, {("a", "e")})
    assert unit.removed_learns == {("a", "d")}


def test_orphans_are_deleted_by_label_and_counted() -> None:
    tx = Transaction(delete_orphans_Topic=[{"deleted": 1}])
    nodes = {("Topic", "u"), ("Topic", "t"), ("Course", "c")}
    assert delete_orphans(tx, nodes) == {"Topic": 1, "Course": 0}
    assert sorted(tx.asked) == [
        ("delete_orphans_Course", {"ids": ["c"]}),
        ("delete_orphans_Topic", {"ids": ["t", "u"]}),
    ]


def test_a_version_key_is_the_time_and_the_id() -> None:
    assert version_key({"timestamp": at(1), "record": "r"}) == KEY
