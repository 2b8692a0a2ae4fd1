"""Two mistakes of two students, for tests that need an import with something to analyse."""

from typing import Any

TWO_MISTAKES: list[dict[str, Any]] = [
    {
        "type": "error_record",
        "timestamp": "2026-01-05T08:00:00Z",
        "data": {
            "student_id": student,
            "student_name": f"Name of {student}",
            "course_id": "c-1",
            "error_text": text,
        },
    }
    for student, text in (("s-1", "1/2 + 1/3 = 2/5"), ("s-2", "3 x 0 = 3"))
]
