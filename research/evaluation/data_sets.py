"""Records with labels by people.

They are read at run time from a folder outside the project. The messages with a mood and a topic are in
`research/evaluation/moods`.
"""

import json
import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any, Literal, get_args

from edugraph_analyzer.findings.mapping import same_name
from edugraph_common.contracts.findings import Kind
from edugraph_common.contracts.messages import CourseContext
from evaluation.moods import second_labels

Language = Literal["en", "zh"]
_HAN, _LATIN_WORD = re.compile(r"[\u3400-\u9fff]"), re.compile(r"[a-z]+", re.IGNORECASE)


@dataclass(frozen=True)
class DataSet:
    """A set of labelled records: those in `file`, in the folders records and labels, whose id ends with `ending`.

    `meanings` has the kinds of error from which people chose. The answer's own words count as the nearest kind.
    """

    name: str
    file: str
    kind: Kind
    language: Language
    ending: str = ""
    meanings: Mapping[str, str] | None = None
    has_points: bool = False


@dataclass(frozen=True)
class Sample:
    """A record with its labels. A finding is right if it has any of the `points`.

    - `first_wrong_step`: the words of the solution with which the mistake begins.
    - `hierarchy`: the hierarchy of the set's points.
    - `mood`: the mood of the student in a message.
    - `topic`: the topic of a message, one of TOPICS or "none".
    """

    record: dict[str, Any]
    context: CourseContext | None
    error_type: str | None
    points: tuple[str, ...]
    first_wrong_step: str | None = None
    hierarchy: "Hierarchy | None" = None
    mood: str | None = None
    topic: str | None = None


class Hierarchy:
    """The hierarchy of points, from their routes, such as `Algebra->Equations->Linear equations`."""

    def __init__(self, routes: Iterable[str]) -> None:
        paths = [tuple(same_name(step) for step in route.split("->")) for route in routes]
        seen = Counter(step for path in paths for step in {*path})
        self._paths: dict[str, set[tuple[str, ...]]] = defaultdict(set)
        for path in paths:
            # Steps that most routes have in common do not distinguish points, so they give no credit.
            telling = tuple(step for step in path if seen[step] <= len(paths) / 2)
            for length in range(1, len(telling) + 1):
                self._paths[telling[length - 1]].add(telling[:length])

    def credit(self, found: str, right: Iterable[str]) -> float:
        """Return how near a point is to the nearest right one: 1 for the same point, 0 for another branch.

        This is the measure of Wu and Palmer: twice the length of the common part, divided by the sum of both lengths.
        """
        best = 0.0
        for other in right:
            if same_name(found) == same_name(other):
                return 1.0
            for one in self._paths.get(same_name(found), ()):
                for two in self._paths.get(same_name(other), ()):
                    common = sum(
                        1
                        for _ in takewhile(
                            lambda pair: pair[0] == pair[1], zip(one, two, strict=False)
                        )
                    )
                    best = max(best, 2 * common / (len(one) + len(two)))
        return best


BRIDGE = {
    "guess": "guesses without understanding",
    "misinterpret": "misread or misinterpreted the question",
    "careless": "careless slip in calculation",
    "right-idea": "right idea, not finished: incomplete solution",
    "imprecise": "imprecise answer: wrong wording, unit or notation",
    "diagnose": "unclear answer, the cause cannot be told",
}
STEPVERIFY = {
    "Misunderstanding of a question": "misread or misunderstood the question",
    "Extra quantity or Missing quantity": "a quantity is missing or added",
    "Missing / Wrong factual knowledge": "wrong fact, formula or concept",
    "Calculation error easily solved by a calculator": "arithmetic calculation error",
    "Reached correct solution but proceeded further": "went on after the correct solution",
    "Unit conversion error": "unit conversion error",
}
# Topic -> names of its parts, separated by `|`. A free topic counts as the topic of the name nearest in meaning.
TOPICS = {
    "number": "whole numbers|decimals|place value|prime numbers|multiplication|整数|小数|余数|四则运算|应用题",
    "fractions": "fractions|common denominator|numerator|分数|分母|通分|约分",
    "algebra": "algebra|equations|functions|graphs|slope|distributive law|derivatives|代数|方程|函数|移项|去分母",
    "geometry": "geometry|angles|triangles|area|perimeter|units of length|几何|角|三角形|面积|周长|单位换算",
    "statistics": "probability|statistics|mean and median|概率|统计|平均数|中位数",
    "physics": "physics|electricity|forces|motion|物理|电|导体|力|运动",
    "chemistry": "chemistry|moles|chemical reactions|substances|化学|物质|化学反应|实验",
    "programming": "programming|code|loops|computers|robots|编程|程序|代码|机器人",
    "language": "literature|poems|stories|characters|idioms|grammar|语文|诗歌|课文|成语|作文",
}
DATA_SETS = {
    data_set.name: data_set
    for data_set in (
        DataSet("bridge", "bridge", "error", "en", "-error", BRIDGE, has_points=True),
        DataSet("stepverify", "stepverify", "error", "en", meanings=STEPVERIFY),
        DataSet("tal_zh mistakes", "tal_zh", "error", "zh", "-error", has_points=True),
        DataSet("tal_en texts", "tal_en", "knowledge_points", "en", "-content", has_points=True),
        DataSet("tal_zh texts", "tal_zh", "knowledge_points", "zh", "-content", has_points=True),
        DataSet("dialogid_zh", "dialogid_zh", "interaction", "zh"),
        *(
            DataSet(f"moods {language}", "moods", "interaction", language)
            for language in get_args(Language)
        ),
    )
}


def language_of(text: str) -> Language:
    return "zh" if len(_HAN.findall(text)) > len(_LATIN_WORD.findall(text)) else "en"


def sample(data_set: DataSet, folder: Path, count: int, seed: int) -> list[Sample]:
    """Return `count` different records of a set. A larger `count` with the same seed begins with the same records.

    Raises FileNotFoundError.
    """
    samples = list(
        _with_moods(data_set) if data_set.file == "moods" else _labelled(data_set, folder)
    )
    return drawn(samples, data_set.name, count, seed)


def drawn(samples: list[Sample], name: str, count: int, seed: int) -> list[Sample]:
    """Draw `count` samples of a set, each record at most once."""
    samples = list(samples)
    random.Random(f"{seed}:{name}").shuffle(samples)  # noqa: S311 - a draw, no secret
    distinct: dict[str, Sample] = {}
    for each in samples:
        distinct.setdefault(each.record["record_id"], each)
    return list(distinct.values())[:count]


def _with_moods(data_set: DataSet) -> Iterator[Sample]:
    for message in second_labels.messages():
        if message["language"] == data_set.language:
            yield Sample(
                mood_record(message), None, None, (), mood=message["mood"], topic=message["topic"]
            )


def mood_record(message: Mapping[str, Any]) -> dict[str, Any]:
    data = {"teacher_id": "t", "student_id": "s", "text": message["text"]}
    fields = {"timestamp": "2026-01-05T08:00:00Z", "record_id": message["id"], "data": data}
    return {"type": "teacher_interaction", **fields}


def _labelled(data_set: DataSet, folder: Path) -> Iterator[Sample]:
    records = [
        record
        for record in _lines(folder / "records" / f"{data_set.file}.ndjson")
        if _fits(data_set, record)
    ]
    labels = _labels(data_set, folder)
    routes = [route for label in labels.values() for route in label["routes"]]
    hierarchy = Hierarchy(routes) if routes else None
    contexts = _contexts(records, labels) if data_set.has_points else {}
    for record in records:
        label = labels.get(_base(record), {})
        if data_set.meanings is None and not data_set.has_points:
            yield Sample(record, None, None, ())
        elif label.get("points") or label.get("error_type"):
            yield Sample(
                _without_label(record),
                contexts.get(_course(record)),
                label.get("error_type"),
                label["points"],
                label["first_wrong_step"],
                hierarchy,
            )


def _fits(data_set: DataSet, record: dict[str, Any]) -> bool:
    return str(record["record_id"]).endswith(data_set.ending)


def _labels(data_set: DataSet, folder: Path) -> dict[str, dict[str, Any]]:
    """Return part of an id -> label. A text and the mistake made in it have this part of their ids in common."""
    path = folder / "labels" / f"{data_set.file}.ndjson"
    return (
        {_base(label): _label(data_set, label) for label in _lines(path)} if path.is_file() else {}
    )


def _label(data_set: DataSet, label: dict[str, Any]) -> dict[str, Any]:
    """Return a label. A kind of error outside the set's own list is removed, since it is a remark on the record."""
    given = label.get("error_type")
    points = (
        label.get("knowledge_points") or [label["knowledge_point"]] if data_set.has_points else []
    )
    return {
        "error_type": given if given in (data_set.meanings or ()) else None,
        "points": tuple(points),
        "first_wrong_step": label.get("first_wrong_step"),
        "routes": label.get("routes") or (),
    }


def _base(value: dict[str, Any]) -> str:
    return (
        str(value["record_id"])
        .removesuffix("-error")
        .removesuffix("-content")
        .removesuffix("-chat")
    )


def _without_label(record: dict[str, Any]) -> dict[str, Any]:
    """Remove the question of a tutoring chat, because it is the name of the knowledge point to be found."""
    asked = str(record["data"].get("question", ""))
    told = "tutor:" in str(record["data"].get("error_text", "")) and asked
    return {**record, "data": {**record["data"], "question": None}} if told else record


def _contexts(
    records: Iterable[dict[str, Any]], labels: Mapping[str, Any]
) -> dict[str, CourseContext]:
    """Return course id -> context. Like a curriculum, it has all knowledge points that people named in the course."""
    points: dict[str, dict[str, None]] = defaultdict(dict)
    names: dict[str, str | None] = {}
    for record in records:
        names[_course(record)] = record["data"].get("course_name")
        points[_course(record)].update(
            dict.fromkeys(labels.get(_base(record), {}).get("points", ()))
        )
    return {
        course: CourseContext(
            course_id=course, name=names[course], knowledge_points=tuple(sorted(known))
        )
        for course, known in points.items()
    }


def _course(record: dict[str, Any]) -> str:
    return str(record["data"].get("course_id"))


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        yield from (json.loads(line) for line in file if line.strip())
