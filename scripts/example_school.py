"""Write the example school of the page: one course of `examples/` in each language, marked as an example.

The page sends the file of its language as an import (`web/pages/example.js`). No record needs the scope roster, and
no school has ids that begin like these.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples"
OUT = ROOT / "services" / "insights" / "src" / "edugraph_insights" / "web" / "example"
COURSE = "EXAMPLE"
PREFIX = "example-"
IDS = (
    "student_id",
    "student_id_from",
    "student_id_to",
    "item_id",
    "thread_id",
    "reply_to",
    "error_type_id",
    "point_id",
)
# Not activity_record: the undo of an import leaves the minutes of activities.
TYPES = {
    "point_record",
    "item_record",
    "attempt_record",
    "course_record",
    "course_content",
    "error_record",
    "student_interaction",
    "post_record",
}
# Texts that the examples have on purpose, and that would puzzle here: numbers, addresses, a word to a robot.
PUZZLING = re.compile(r"\d{7}|@|robot|机器人", re.IGNORECASE)


class Example(NamedTuple):
    """The course of the examples that becomes the example school, and the file that has its records."""

    course: str
    title: str
    school: str


EXAMPLE = {
    "en": Example("ALG", "Example: Algebra Foundations", "school_en.ndjson"),
    "zh": Example("MATH8", "示例：初二数学", "school_zh.ndjson"),
}


def lines(language: str) -> Iterator[str]:
    """Yield the records of the example school as lines of JSON."""
    example = EXAMPLE[language]
    names = ("curriculum", "courses", "answers", "posts")
    files = [f"{name}.ndjson" for name in names]
    number = 0
    for name in (*files, example.school):
        for line in (EXAMPLES / name).read_text("utf-8").splitlines():
            record = json.loads(line)
            is_of_course = record["data"].get("course_id") == example.course
            if record["type"] not in TYPES or not is_of_course or PUZZLING.search(line):
                continue
            number += 1
            record_id = record.get("record_id", f"record-{number}")
            record["record_id"] = f"{PREFIX}{language}-{record_id}"
            record["data"] = data_of_example(record, language)
            yield json.dumps(record, ensure_ascii=False)


def data_of_example(record: dict[str, Any], language: str) -> dict[str, Any]:
    """Return the data of a record with the ids and the title of the example."""
    data = {**record["data"], "course_id": COURSE}
    for name in IDS:
        if name not in data:
            continue
        # The id of the post that is answered is that of a record.
        middle = f"{language}-" if name == "reply_to" else ""
        data[name] = f"{PREFIX}{middle}{data[name]}"
    if "course_name" in data:
        data["course_name"] = EXAMPLE[language].title
    return data


def main() -> None:
    """Write the files."""
    OUT.mkdir(exist_ok=True)
    for language in EXAMPLE:
        text = "".join(f"{line}\n" for line in lines(language))
        (OUT / f"{language}.ndjson").write_text(text, "utf-8")


if __name__ == "__main__":
    main()
