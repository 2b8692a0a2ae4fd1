"""Made-up records for benchmarks: mixed types, a few popular courses, many students.

A seed always gives the same ones.
"""

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

START = datetime(2026, 1, 5, tzinfo=UTC)
WORDS = (
    "fraction",
    "sum",
    "power",
    "root",
    "force",
    "energy",
    "cell",
    "verb",
    "tense",
    "clause",
    "loop",
    "list",
    "graph",
    "proof",
    "angle",
    "方程",
    "分数",
    "函数",
    "力",
    "电路",
)
# Type of record -> its share, as in the export of a platform.
SHARES = {
    "student_interaction": 30,
    "teacher_interaction": 15,
    "course_record": 25,
    "error_record": 25,
    "course_content": 5,
    "attempt_record": 25,
    "activity_record": 20,
    "membership_record": 5,
}


def made_records(number: int, seed: int = 7) -> Iterator[dict[str, Any]]:
    rng = random.Random(seed)
    students, courses = max(50, number // 25), max(8, number // 2_000)
    kinds = rng.choices(list(SHARES), list(SHARES.values()), k=number)
    for index, kind in enumerate(kinds):
        timestamp = (START + timedelta(seconds=37 * index)).strftime("%Y-%m-%dT%H:%M:%SZ")
        data = _DATA[kind](rng, students, courses)
        yield {"type": kind, "timestamp": timestamp, "record_id": f"{seed}-{index}", "data": data}


def write_records(path: Path, number: int, seed: int = 7) -> Path:
    with path.open("w", encoding="utf-8") as file:
        for record in made_records(number, seed):
            file.write(json.dumps(record, ensure_ascii=False) + "\n")
    return path


def _student(rng: random.Random, students: int) -> str:
    return f"s{rng.randrange(students)}"


def _course(rng: random.Random, courses: int) -> str:
    """Return a random course. The courses with small numbers are popular, as a few courses are in every school."""
    return f"c{int(courses * rng.random() ** 2)}"


def _text(rng: random.Random, words: int) -> str:
    return " ".join(rng.choices(WORDS, k=words))


def _chat(rng: random.Random, students: int, courses: int) -> dict[str, Any]:
    sender, receiver = _student(rng, students), _student(rng, students)
    return {
        "student_id_from": sender,
        "student_id_to": receiver,
        "student_name_from": f"Name {sender}",
        "interaction_type": rng.choice(["chat", "chat", "like"]),
        "text": _text(rng, 12),
        "course_id": _course(rng, courses),
        "topics": [rng.choice(WORDS)],
    }


def _lesson(rng: random.Random, students: int, courses: int) -> dict[str, Any]:
    student = _student(rng, students)
    return {
        "teacher_id": f"t{rng.randrange(max(5, students // 60))}",
        "student_id": student,
        "student_name": f"Name {student}",
        "text": _text(rng, 15),
        "feedback": _text(rng, 5),
        "interaction_count": rng.randrange(1, 6),
        "course_id": _course(rng, courses),
    }


def _progress(rng: random.Random, students: int, courses: int) -> dict[str, Any]:
    course = _course(rng, courses)
    return {
        "student_id": _student(rng, students),
        "course_id": course,
        "course_name": f"Course {course}",
        "progress": rng.randrange(101),
        "time_spent": rng.randrange(600),
    }


def _mistake(rng: random.Random, students: int, courses: int) -> dict[str, Any]:
    return {
        "student_id": _student(rng, students),
        "course_id": _course(rng, courses),
        "error_text": _text(rng, 14),
        "error_type": f"error {rng.randrange(60)}",
        "severity": rng.choice(["low", "medium", "high"]),
    }


def _page(rng: random.Random, _students: int, courses: int) -> dict[str, Any]:
    return {"course_id": _course(rng, courses), "content": _text(rng, 60), "title": _text(rng, 3)}


def _try(rng: random.Random, students: int, courses: int) -> dict[str, Any]:
    course = _course(rng, courses)
    item = f"{course}-q{rng.randrange(40)}"
    return {
        "student_id": _student(rng, students),
        "course_id": course,
        "item_id": item,
        "item_title": f"Question {item}",
        "correct": rng.random() < 0.6,
        "response": _text(rng, 3),
        "knowledge_points": [rng.choice(WORDS)],
    }


def _use(rng: random.Random, students: int, courses: int) -> dict[str, Any]:
    return {
        "student_id": _student(rng, students),
        "course_id": _course(rng, courses),
        "kind": rng.choice(["video", "page", "exercise"]),
        "duration_seconds": rng.randrange(1_800),
    }


def _seat(rng: random.Random, students: int, courses: int) -> dict[str, Any]:
    """Return a membership. All students of a course are in one group, which is as large as the course."""
    course = _course(rng, courses)
    return {
        "student_id": _student(rng, students),
        "group_id": f"group-{course}",
        "group_name": f"Group of {course}",
        "course_id": course,
        "term": "2026-1",
        "starts": "2026-02-23",
    }


_DATA = {
    "student_interaction": _chat,
    "teacher_interaction": _lesson,
    "course_record": _progress,
    "error_record": _mistake,
    "course_content": _page,
    "attempt_record": _try,
    "activity_record": _use,
    "membership_record": _seat,
}
