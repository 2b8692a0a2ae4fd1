"""A school's own reviews as labelled records: the findings about mistakes that its people accepted.

Only findings are reviewed, so these labels can compare analysers and prompts, but they do not show points that all
analysers miss.
"""

import hashlib
from collections import defaultdict
from pathlib import Path

from edugraph_analyzer.rule_based.labels import LabelledItem, ReviewLabels
from edugraph_common.contracts.findings import kind_to_read
from edugraph_common.contracts.messages import CourseContext
from edugraph_common.contracts.records import course_ids_of, parse_record
from evaluation.data_sets import DataSet, Language, Sample, language_of


def reviewed(records: Path, reviews: Path) -> list[tuple[DataSet, list[Sample]]]:
    """Return a set for each language. Raises Rejected for an unreadable line, and OSError for an unreadable file.

    The name of a set contains a hash of its files, so that answers are not compared with earlier labels.
    """
    items = [each for each in ReviewLabels(records, reviews).items() if _is_mistake(each)]
    points, types = (
        defaultdict[str, dict[str, None]](dict),
        defaultdict[Language, dict[str, str]](dict),
    )
    content, found = hashlib.sha256(), defaultdict[Language, list[Sample]](list)
    for item in items:
        content.update(
            repr((item.record["record_id"], item.error_types, item.knowledge_points)).encode()
        )
        points[_course(item)].update(dict.fromkeys(item.knowledge_points))
        types[_language(item)].update((each, each) for each in item.error_types)
    for item in items:
        course = _course(item)
        context = (
            CourseContext(course_id=course, knowledge_points=tuple(points[course]))
            if course
            else None
        )
        first_type = item.error_types[0] if item.error_types else None
        found[_language(item)].append(
            Sample(item.record, context, first_type, item.knowledge_points)
        )
    version = content.hexdigest()[:6]
    return [
        (
            DataSet(
                f"reviews {version} {language}", "", "error", language, meanings=types[language]
            ),
            samples,
        )
        for language, samples in sorted(found.items())
    ]


def _is_mistake(item: LabelledItem) -> bool:
    return kind_to_read(parse_record(item.record)) == "error"


def _course(item: LabelledItem) -> str:
    return next(iter(course_ids_of(parse_record(item.record))), "")


def _language(item: LabelledItem) -> Language:
    data = item.record["data"]
    return language_of(
        " ".join(str(data.get(name) or "") for name in ("question", "error_text", "response"))
    )
