"""The lines of a digest: those of Today, with names only where the school allows them, and nothing beyond the rights."""

from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from rooms import Room

from edugraph_common.contracts.records import parse_record
from edugraph_insights.access import leads_in
from edugraph_insights.digest.lines import MOST_LINES, Line, course_name, in_one_line, lines_of
from edugraph_insights.insights import Insights

from .schools import NOW, School, caller, make_groups, reading, written

PUPILS = [f"s{number:02}" for number in range(8)]
NAMES = {who: f"Quetzal {who.upper()}" for who in PUPILS}
TEACHER = caller("teacher", person="t")


def at(days_ago: float) -> str:
    return (NOW - timedelta(days=days_ago)).isoformat()


def record(kind: str, record_id: str, days_ago: float, **data: Any) -> Any:
    return parse_record(
        {"type": kind, "timestamp": at(days_ago), "record_id": record_id, "data": data}
    )


def school(*, last_days_ago: float = 1) -> School:
    """Eight pupils of two groups; most got fractions wrong, and some did not hand in the quiz."""
    records = []
    for number, who in enumerate(PUPILS):
        given = {"student_id": who, "student_name": NAMES[who], "course_id": "C"}
        records.append(record("course_record", f"in-{who}", 60, **given, course_name="Maths\n8"))
        for item in range(4):
            tried = {**given, "item_id": f"i{item}", "knowledge_points": ["Fractions"]}
            days = last_days_ago + item
            records.append(
                record("attempt_record", f"a-{who}-{item}", days, **tried, score=float(number > 4))
            )
    due = {"item_id": "i9", "title": "Quiz 3", "due_at": at(last_days_ago)}
    records.append(record("item_record", "q", 20, **due, assigned_to="course", course_id="C"))
    handed = {"student_id": "s00", "course_id": "C", "item_id": "i9", "score": 1.0}
    records.append(record("attempt_record", "h", last_days_ago + 1, **handed))
    return School(records, [])


def filled(room: Room, **more: Any) -> None:
    written(room, school(**more))
    members = [(who, "g" if who < "s06" else "h", (None, None)) for who in PUPILS]
    make_groups(
        room, members, [("t", "g", (None, None)), ("u", "h", (None, None))], {"g": "C", "h": "C"}
    )


def with_names(insights: Insights, *, names: bool) -> Insights:
    changed = {"digest_page_url": "https://school.example/ui/", "digest_names": names}
    return replace(insights, settings=insights.settings.model_copy(update=changed))


def mail(
    room: Room, *, names: bool = False, language: Any = "en", who: Any = TEACHER
) -> list[Line]:
    insights = with_names(reading(room), names=names)
    try:
        return lines_of(insights, who, "C", language)
    finally:
        insights.graph.close()


def test_the_lines_are_those_of_today_without_names(room: Room) -> None:
    """Out: the setting in `_speak`."""
    filled(room)
    lines = mail(room)
    texts = [line.text for line in lines]
    assert texts[0] == "Repeat Fractions. 5 of 6 students have less than half of the points."
    assert texts[1] == "Speak with the 3 students who need help first."
    assert "5 of 6 students have not handed in Quiz 3." in texts
    assert 3 <= len(lines) <= MOST_LINES
    for line in lines:
        assert "Quetzal" not in line.text
        assert not any(who in line.text + line.link for who in PUPILS)
        parts = urlsplit(line.link)
        assert f"{parts.scheme}://{parts.netloc}{parts.path}" == "https://school.example/ui/"
        assert parts.query == ""
        page, _, query = parts.fragment.partition("?")
        assert page in {"today", "students", "point"}
        assert parse_qs(query)["course"] == ["C"]


def test_names_stand_there_where_the_school_allows_them(room: Room) -> None:
    filled(room)
    [speak] = [line.text for line in mail(room, names=True) if "Speak" in line.text]
    assert speak.count("Quetzal") == 3
    assert " and " in speak


def test_they_are_in_chinese_for_who_wants_it(room: Room) -> None:
    filled(room)
    texts = [line.text for line in mail(room, language="zh", names=True)]
    assert texts[0] == "重讲Fractions。6 名学生中有 5 名得分不到一半。"
    assert texts[1].startswith("与Quetzal")
    assert "、" in texts[1]


def test_they_are_about_the_students_whom_the_subscriber_leads(room: Room) -> None:
    """Out: the caller of the run, with the rights of everybody."""
    filled(room)
    of_other = mail(room, who=caller("teacher", person="u"))
    assert not any("6 students" in line.text for line in of_other)
    assert mail(room, who=caller("teacher", person="stranger")) == []


def test_the_lines_of_a_group_are_about_its_students_alone(room: Room) -> None:
    """Out: `group` in `_answer` or in `_link` of the lines."""
    written(room, school())
    members = [(who, "g" if who < "s04" else "h", (None, None)) for who in PUPILS]
    leaders = [("t", "g", (None, None)), ("t", "h", (None, None))]
    make_groups(room, members, leaders, {"g": "C", "h": "C"})
    insights = with_names(reading(room), names=True)
    try:
        lines = lines_of(insights, TEACHER, "C", "en", group="g")
        whole = lines_of(insights, TEACHER, "C", "en")
        of_stranger = lines_of(insights, caller("teacher", person="u"), "C", "en", group="g")
    finally:
        insights.graph.close()
    assert "8 students" in whole[0].text
    assert "4 of 4 students" in lines[0].text
    outside = [NAMES[who] for who in PUPILS if who >= "s04"]
    for line in lines:
        assert not any(name in line.text for name in outside)
        assert parse_qs(line.link.partition("?")[2])["group"] == ["g"]
    assert of_stranger == []


def test_nothing_is_said_about_a_course_without_new_records(room: Room) -> None:
    """Out: OLD_SCHOOL_DAYS."""
    filled(room, last_days_ago=12)
    assert mail(room) == []


def test_who_led_until_yesterday_leads_nobody_now(room: Room) -> None:
    """Out: `former` in `leads_in`."""
    written(room, school())
    made = [("t", "g", (None, -1)), ("u", "g", (None, None))]
    make_groups(room, [("s00", "g", (None, None))], made, {"g": "C"})
    insights = reading(room)
    try:
        assert not leads_in(insights.graph, TEACHER, "C", NOW)
        assert leads_in(insights.graph, caller("teacher", person="u"), "C", NOW)
        assert not leads_in(insights.graph, caller("teacher", person="u"), "D", NOW)
        assert not leads_in(insights.graph, caller("head", person="u"), "C", NOW)
        assert course_name(insights, "C") == "Maths 8"
    finally:
        insights.graph.close()


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Maths 8", "Maths 8"),
        ("a\r\nBcc: b", "a Bcc: b"),
        ("a\u2028b\u2029c\x00d\x85e", "a b c d e"),
        ("\u202eevil\u2066", "evil"),
        ("x" * 500, "x" * 100 + "…"),
        ("{n} {of}", "{n} {of}"),
    ],
    ids=["plain", "header", "lines", "direction", "long", "braces"],
)
def test_a_name_is_one_line(name: str, shown: str) -> None:
    assert in_one_line(name) == shown
