"""The lines of a message to a chat: whole courses with noise, no small group, and never a person."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from rooms import Room

from edugraph_common.contracts.records import parse_record
from edugraph_insights.digest import chat_lines
from edugraph_insights.digest.chat_lines import chat_lines_of
from edugraph_insights.digest.lines import MOST_LINES, Line

from .schools import NotedAudit, School, caller, reading, written

MONDAY = datetime(2026, 6, 1, 6, tzinfo=UTC)
HOSTILE = "Fractions\n<!channel> [free](https://evil.example)"


def school(students: int, *, last_days_ago: float = 3) -> School:
    """A course of pupils with names of their own. Most got fractions wrong."""
    records = []
    for number in range(students):
        who = f"s{number:02}"
        given = {"student_id": who, "student_name": f"Quetzal {who}", "course_id": "C"}
        values: list[tuple[str, str, float, dict[str, Any]]] = [
            ("course_record", f"in-{who}", 60, {**given, "course_name": "Maths"})
        ]
        for item in range(6):
            point = HOSTILE if item % 2 else "Sums"
            right = float(number % 5 == 0) if item % 2 else 1.0
            tried = {**given, "item_id": f"i{item}", "knowledge_points": [point], "score": right}
            values.append(("attempt_record", f"a-{who}-{item}", last_days_ago, tried))
        for kind, record_id, days_ago, data in values:
            at = (MONDAY - timedelta(days=days_ago)).isoformat()
            records.append(
                parse_record({"type": kind, "timestamp": at, "record_id": record_id, "data": data})
            )
    return School(records, [])


def message(room: Room, language: Any = "en", audit: Any = None) -> list[Line]:
    found = reading(room, now=MONDAY, audit=audit)
    changed = {"digest_page_url": "https://school.example/ui/"}
    insights = replace(found, settings=found.settings.model_copy(update=changed))
    try:
        return chat_lines_of(insights, "C", language)
    finally:
        insights.graph.close()


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_lines_say_what_went_wrong_and_name_nobody(room: Room, language: str) -> None:
    """Out: the role of `READER`."""
    written(room, school(40))
    audit = NotedAudit()
    lines = message(room, language, audit)
    assert 2 <= len(lines) <= MOST_LINES
    for line in lines:
        assert "Quetzal" not in line.text + line.link
        assert not any(f"s{number:02}" in line.text + line.link for number in range(40))
        assert "\n" not in line.text
        assert not set(line.text) & set("<>[]()@")
        assert "://" not in line.text
        parts = urlsplit(line.link)
        assert f"{parts.scheme}://{parts.netloc}{parts.path}" == "https://school.example/ui/"
        page, _, query = parts.fragment.partition("?")
        assert page in {"overview", "point"}
        assert parse_qs(query)["course"] == ["C"]
        assert parse_qs(query)["lang"] == [language]
    assert any("Fractions" in line.text for line in lines)
    # Nothing about a person was shown.
    assert audit.entries == []


def test_nothing_is_said_about_a_small_class_or_an_old_week(room: Room) -> None:
    """Nine pupils are a small group. Out: the role of `READER`; the look at the last week."""
    written(room, school(9))
    assert message(room) == []
    room.empty()
    written(room, school(40, last_days_ago=12))
    assert message(room) == []


def test_an_exact_answer_never_leaves(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """Out: the look at `exact`."""
    written(room, school(40))
    monkeypatch.setattr(chat_lines, "READER", caller("head"))
    assert message(room) == []
