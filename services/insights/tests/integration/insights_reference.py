"""What each question must answer, computed the plain way from records and findings; the graph is never asked.

Each function returns the rows of one question by their keys. Names of points are not compared: which spelling the
graph shows is tested with the importer.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from itertools import pairwise, permutations
from math import exp, isclose, log, pi, sqrt
from statistics import correlation, mean, median
from typing import Any

import numpy as np

from edugraph_common.contracts.canonical_names import canonical_name
from edugraph_common.contracts.reviews import text_hash

from .schools import NOW, School, of

Z = 1.959963984540054


def roster(school: School, course: str) -> set[str]:
    """Who stands in the course by a record, or, where nobody does, who answered or went wrong there."""
    standing = {
        r.data.student_id for r in of(school.records, "course_record") if r.data.course_id == course
    }
    answers = [*of(school.records, "attempt_record"), *of(school.records, "error_record")]
    return standing or {r.data.student_id for r in answers if course in r.data.courses}


def attempts(school: School, course: str, people: set[str] | None = None) -> list[Any]:
    """Those that count, in the order in which they were made: of the students of the course, or of these."""
    people = roster(school, course) if people is None else people
    found = [
        r
        for r in of(school.records, "attempt_record")
        if course in r.data.courses and r.data.student_id in people
    ]
    return sorted(found, key=lambda r: (r.timestamp, r.data.attempt_number or 0, r.record_id))


Window = tuple[datetime | None, datetime | None]
ALWAYS: Window = (None, None)


def is_in(window: Window, moment: datetime) -> bool:
    """The end is no part of it."""
    starts, ends = window
    return (starts is None or starts <= moment) and (ends is None or moment < ends)


def term_of(school: School, term: str) -> Window:
    [record] = [r for r in of(school.records, "term_record") if r.data.term == term]
    return record.data.starts, record.data.ends


def first_attempts(
    school: School, course: str, window: Window = ALWAYS, people: set[str] | None = None
) -> list[Any]:
    seen: set[tuple[str, str]] = set()
    found = []
    for r in attempts(school, course, people):
        if (r.data.student_id, r.data.item_id) not in seen:
            seen.add((r.data.student_id, r.data.item_id))
            found.append(r)
    return [r for r in found if is_in(window, r.timestamp)]


def point_of(school: School, name: str) -> str:
    """The point that stands for all that were judged the same: the smallest of them."""
    alike, size = {canonical_name(name)}, 0
    while len(alike) > size:
        size = len(alike)
        for pair in school.same:
            ends = {canonical_name(end) for end in pair}
            alike |= ends if ends & alike else set()
    return min(alike)


def tests(school: School) -> dict[str, set[str]]:
    found = defaultdict(set)
    for r in (*of(school.records, "item_record"), *of(school.records, "attempt_record")):
        found[r.data.item_id] |= {point_of(school, name) for name in r.data.knowledge_points or ()}
    return found


def of_points(
    school: School, course: str, window: Window = ALWAYS
) -> dict[str, dict[str, list[int]]]:
    """Point -> student -> outcomes of first attempts at its items, in their order."""
    found: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    points = tests(school)
    for r in first_attempts(school, course, window):
        for point in points[r.data.item_id]:
            found[point][r.data.student_id].append(r.data.outcome_thousandths)
    return found


def is_lower_end(low: float, share: float, n: int) -> bool:
    """Whether it is Wilson's lower end: a truth from which the share is as far off as 95 % allow."""
    return isclose(share - low, Z * sqrt(low * (1 - low) / n), abs_tol=1e-9) or (
        low == 0 and share < 1e-9
    )


def weak_points(school: School, course: str, window: Window = ALWAYS) -> dict[Any, dict[str, Any]]:
    return {
        point: {
            "wrong": mean(
                1 - sum(outcomes) / 1000 / len(outcomes) for outcomes in students.values()
            ),
            "students": len(students),
            "first_attempts": sum(len(outcomes) for outcomes in students.values()),
        }
        for point, students in of_points(school, course, window).items()
    }


def tries_at(
    school: School, course: str, window: Window = ALWAYS
) -> dict[tuple[str, str], list[Any]]:
    """(student, point) -> the attempts of the time at the items of the point, in their order."""
    found: dict[tuple[str, str], list[Any]] = defaultdict(list)
    points = tests(school)
    for r in attempts(school, course):
        if is_in(window, r.timestamp):
            for point in points[r.data.item_id]:
                found[r.data.student_id, point].append(r)
    return found


def grid(school: School, course: str, window: Window = ALWAYS) -> dict[Any, dict[str, Any]]:
    """(student, point) -> the cell of the table of students and points."""
    first_at = of_points(school, course, window)
    rows = {}
    for (who, point), tries in tries_at(school, course, window).items():
        outcomes = first_at.get(point, {}).get(who, [])
        rows[who, point] = {
            "tries": len(tries),
            "first_attempts": len(outcomes),
            "right": sum(each >= 500 for each in outcomes),
            "share": mean(outcomes) / 1000 if outcomes else None,
            "last_outcome": tries[-1].data.outcome_thousandths / 1000,
            "last": tries[-1].timestamp,
        }
    return rows


def words_of(sentence: str) -> str:
    """Return a sentence without its full stop and without case, the two differences of sentences in `SENTENCES`."""
    return sentence.casefold().rstrip(".")


def spellings_of_sentences(findings: Iterable[Any]) -> dict[str, list[str]]:
    """Return the words of a sentence -> its spellings in all findings."""
    spellings: dict[str, list[str]] = defaultdict(list)
    for finding in findings:
        sentence = getattr(finding, "what_went_wrong", None)
        if sentence:
            spellings[words_of(sentence)].append(sentence)
    return spellings


def group_of(sentence: str, spellings: dict[str, list[str]]) -> tuple[str, str]:
    """Return the id and the name of a sentence. The name is its most frequent spelling."""
    group = spellings[words_of(sentence)]
    name = min(group, key=lambda each: (-group.count(each), each))
    return words_of(sentence).replace(" ", ""), name


def at_point(
    school: School, course: str, point: str, window: Window = ALWAYS
) -> dict[Any, dict[str, Any]]:
    """Student -> what the question `point` says about the student."""
    point = point_of(school, point)
    cells = grid(school, course, window)
    found = {each.record["record_id"]: each.finding for each in school.findings}
    nothing = {"tries": 0, "first_attempts": 0, "right": 0, "share": None, "last_outcome": None}
    spellings = spellings_of_sentences(found.values())
    rows = {}
    for who in roster(school, course):
        made = []
        for record_id, (r, points) in mistakes(school, course).items():
            item = getattr(r.data, "item_id", None)
            is_of_point = point in points or (item is not None and point in tests(school)[item])
            if r.data.student_id == who and is_of_point and is_in(window, r.timestamp):
                made.append((r.timestamp, record_id, r))
        made.sort(key=lambda each: each[:2])
        times: dict[str, int] = defaultdict(int)
        sentences: dict[tuple[str, str], int] = defaultdict(int)
        words = []
        for _, record_id, r in made:
            finding = found.get(record_id)
            sentence = getattr(finding, "what_went_wrong", None)
            if sentence:
                sentences[group_of(sentence, spellings)] += 1
            stated = {each for each in (getattr(r.data, "error_type", None),) if each}
            for kind in stated | {each.name for each in getattr(finding, "error_types", ())}:
                times[kind] += 1
            text = getattr(r.data, "response", None) or getattr(r.data, "error_text", None)
            quote = " … ".join(getattr(finding, "evidence", ())) or text
            if quote:
                words.append((quote, record_id))
        cell = cells.get((who, point), {**nothing, "last": None})
        state = "not tried"
        if cell["share"] is not None:
            state = "wrong" if cell["share"] < 0.5 else "right"
        quote, quote_record = words[-1] if words else (None, None)
        groups = sorted(sentences, key=lambda each: (-sentences[each], each))
        rows[who] = {
            **cell,
            "state": state,
            "mistakes": len(made),
            "what_went_wrong": tuple(name for _, name in groups),
            "misconceptions": tuple(group for group, _ in groups),
            "misconception_mistakes": tuple(sentences[each] for each in groups),
            "kinds": tuple(sorted(times, key=lambda kind: (-times[kind], kind))),
            "quote": quote,
            "quote_record": quote_record,
            "source_name": None if quote_record is None else "default",
            "sent_id": quote_record,
        }
    return rows


def returning_mistakes(school: School, course: str) -> dict[Any, dict[str, Any]]:
    rows = {}
    for point, students in of_points(school, course).items():
        later = {}
        for student, outcomes in students.items():
            for end in range(2, len(outcomes) + 1):
                if sum(each >= 500 for each in outcomes[:end]) == 2 and outcomes[end - 1] >= 500:
                    later[student] = outcomes[end:]
        three = [outcomes for outcomes in students.values() if len(outcomes) >= 3]
        wrong_later = [each for each in later.values() if any(outcome < 500 for outcome in each)]
        rows[point] = {
            "returned": len(wrong_later) / len(later) if later else None,
            "students_with_two_rights": len(later),
            "practised_again": sum(len(each) > 0 for each in later.values()),
            "right_first": mean(o[0] / 1000 for o in three) if three else None,
            "right_second": mean(o[1] / 1000 for o in three) if three else None,
            "right_third": mean(o[2] / 1000 for o in three) if three else None,
            "cohort": len(three),
        }
    return rows


def items(school: School, course: str) -> dict[Any, dict[str, Any]]:
    first = first_attempts(school, course)
    points = tests(school)
    rows = {}
    for item in {r.data.item_id for r in first}:
        mine = [r for r in first if r.data.item_id == item]
        answers = [
            r.data.response for r in mine if r.data.outcome_thousandths < 500 and r.data.response
        ]
        common = sorted(
            {a for a in answers if answers.count(a) >= 3}, key=lambda a: (-answers.count(a), a)
        )
        pairs = []
        for r in mine:
            rest = [
                o.data.outcome_thousandths
                for o in first
                if o.data.student_id == r.data.student_id and o is not r
            ]
            if rest:
                pairs.append((r.data.outcome_thousandths, mean(rest)))
        varies = all(len({round(pair[side], 6) for pair in pairs}) > 1 for side in (0, 1))
        rows[item] = {
            "right": mean(r.data.outcome_thousandths / 1000 for r in mine),
            "students": len(mine),
            "wrong_answers": tuple(common),
            "points": tuple(sorted(points[item])),
            "discrimination": correlation(*zip(*pairs, strict=True))
            if len(pairs) >= 30 and varies
            else None,
        }
    return rows


def travelling_weaknesses(
    school: School, course: str, next_course: str
) -> dict[Any, dict[str, Any]]:
    """Of the roster of the first course."""
    people, points = roster(school, course), tests(school)
    seen: dict[tuple[str, str, str], list[Any]] = defaultdict(list)
    for where in (course, next_course):
        firsts: set[tuple[str, str]] = set()
        everyone = [r for r in of(school.records, "attempt_record") if where in r.data.courses]
        for r in sorted(
            everyone, key=lambda r: (r.timestamp, r.data.attempt_number or 0, r.record_id)
        ):
            if r.data.student_id in people and (r.data.student_id, r.data.item_id) not in firsts:
                firsts.add((r.data.student_id, r.data.item_id))
                for point in points[r.data.item_id]:
                    seen[where, point, r.data.student_id].append(r)
    rows = {}
    for point in set().union(*points.values()):
        groups: dict[bool, list[bool]] = {True: [], False: []}
        for student in people:
            here, there = seen[course, point, student], seen[next_course, point, student]
            if here and there and max(r.timestamp for r in here) < min(r.timestamp for r in there):
                groups[mostly_wrong(here)].append(mostly_wrong(there))
        after_wrong, after_right = (
            mean(map(float, groups[was])) if groups[was] else None for was in (True, False)
        )
        if groups[True] or groups[False]:
            rows[point] = {
                "wrong_after_wrong": after_wrong,
                "wrong_after_right": after_right,
                "difference": None
                if after_wrong is None or after_right is None
                else after_wrong - after_right,
                "students_wrong": len(groups[True]),
                "students_right": len(groups[False]),
            }
    return rows


def mostly_wrong(records: Sequence[Any]) -> bool:
    return mean(r.data.outcome_thousandths for r in records) < 500


def mistakes(school: School, course: str) -> dict[str, tuple[Any, dict[str, float]]]:
    """Record id -> the mistake, and the points behind it with their confidences."""
    found = {each.record["record_id"]: each.finding for each in school.findings}
    rows = {}
    for r in list[Any](school.records):
        counts = r.type == "error_record" or (r.type == "attempt_record" and r.data.is_mistake)
        if counts and course in r.data.courses and r.data.student_id in roster(school, course):
            points: dict[str, float] = {}
            for each in getattr(found.get(r.record_id), "knowledge_points", ()):
                key = point_of(school, each.name)
                points[key] = max(each.confidence, points.get(key, 0.0))
            rows[r.record_id] = (r, points)
    return rows


def prerequisites(school: School) -> dict[tuple[str, str], float]:
    """(point, what it needs) -> confidence, of those that words of two different texts say."""
    contents = contents_of(school)
    return {pair: sure for pair, sure in said_by_texts(school).items() if len(contents[pair]) >= 2}


def proposed(school: School) -> dict[tuple[str, str], float]:
    """The same, of the others. A text that was imported twice says something once."""
    contents = contents_of(school)
    return {
        pair: sure
        for pair, sure in said_by_texts(school).items()
        if len(contents[pair]) < 2 and pair[0] != pair[1]
    }


def contents_of(school: School) -> dict[tuple[str, str], set[str]]:
    found: dict[tuple[str, str], set[str]] = defaultdict(set)
    for each in school.findings:
        for claim in getattr(each.finding, "prerequisites", ()):
            if not claim.quote:
                continue
            pair = point_of(school, claim.point), point_of(school, claim.requires)
            words = each.record["data"]["content"]
            found[pair].add("".join(sign for sign in words.lower() if sign.isalnum()))
    return found


def said_by_texts(school: School) -> dict[tuple[str, str], float]:
    """(point, what it needs) -> confidence. The confidence of an implied one is at most 0.3, since nobody can check it."""
    found: dict[tuple[str, str], float] = {}
    for each in school.findings:
        # Words of a text count before what it implies of the same two points.
        claims = sorted(
            getattr(each.finding, "prerequisites", ()), key=lambda claim: bool(claim.quote)
        )
        in_words = {node_pair(claim) for claim in claims if claim.quote}
        for claim in claims:
            if not claim.quote and node_pair(claim) in in_words:
                continue
            pair = point_of(school, claim.point), point_of(school, claim.requires)
            confidence = claim.confidence if claim.quote else min(claim.confidence, 0.3)
            found[pair] = max(confidence, found.get(pair, 0.0))
    return found


def node_pair(claim: Any) -> tuple[str, str]:
    return canonical_name(claim.point), canonical_name(claim.requires)


def ways(school: School, point: str, least: float = 0.0) -> dict[str, float]:
    """What a point needs -> the confidence of the surest way. Four points have ways of three steps at most."""
    edges = {pair: sure for pair, sure in prerequisites(school).items() if sure >= least}
    names = sorted({end for pair in edges for end in pair})
    found: dict[str, float] = {}
    for length in range(len(names)):
        for between in permutations([name for name in names if name != point], length):
            for end in names:
                way = [point, *between, end]
                steps = list(pairwise(way))
                if end not in way[:-1] and all(step in edges for step in steps):
                    confidence = 1.0
                    for step in steps:
                        confidence *= edges[step]
                    found[end] = max(confidence, found.get(end, 0.0))
    return found


def untaught_points(school: School, course: str) -> dict[Any, dict[str, Any]]:
    taught = {
        point_of(school, point.name)
        for each in school.findings
        if each.record["type"] == "course_content" and each.record["data"]["course_id"] == course
        for point in each.finding.knowledge_points
    }
    behind: dict[str, set[str]] = defaultdict(set)
    made = mistakes(school, course)
    for record_id, (_, points) in made.items():
        for point in points:
            for needed in (point, *ways(school, point)):
                behind[needed].add(record_id)
    return {
        point: {
            "mistakes": len(records),
            "students": len({made[each][0].data.student_id for each in records}),
        }
        for point, records in behind.items()
        if point not in taught
    }


def earlier_gaps(school: School, course: str, least: float = 0.0) -> dict[Any, dict[str, Any]]:
    tried = of_points(school, course)
    estimated = estimates(school, course)
    rows = {}
    for point in tried:
        for gap, confidence in ways(school, point, least).items():
            both = set(tried[point]) & set(tried.get(gap, {}))
            wrong_at = {
                p: {s for s in both if mean(tried[p][s]) < 500} for p in (point, gap) if both
            }
            difference = None
            if len(both) >= 10 and 0 < len(wrong_at[gap]) < len(both):
                of_wrong = len(wrong_at[point] & wrong_at[gap]) / len(wrong_at[gap])
                of_right = len(wrong_at[point] - wrong_at[gap]) / len(both - wrong_at[gap])
                difference = of_wrong - of_right
            class_mastery = None
            if both:
                middle, low, high = mean_of([estimated[who][0][gap] for who in both])
                class_mastery = middle if high - low <= 0.5 else None
            rows[point, gap] = {
                "confidence": confidence,
                "students": len(both),
                "difference": difference,
                "class_mastery": class_mastery,
            }
    return rows


def trust(school: School, course: str) -> dict[Any, dict[str, Any]]:
    rows = {}
    found = {each.record["record_id"]: each.finding for each in school.findings}
    made = mistakes(school, course)
    if made:
        n = len(made)
        rows["mistakes"] = {
            "records": n,
            "students": len({r.data.student_id for r, _ in made.values()}),
            "read": sum(each in found for each in made) / n,
            "linked": sum(bool(points) for _, points in made.values()) / n,
            "unsure": sum(
                bool(points) and max(points.values()) < 0.6 for _, points in made.values()
            )
            / n,
            "with_evidence": sum(each in found and bool(found[each].evidence) for each in made) / n,
        }
    return rows


def difficulty(school: School, course: str) -> dict[Any, dict[str, Any]]:
    outcomes: dict[str, list[int]] = defaultdict(list)
    for r in first_attempts(school, course):
        outcomes[r.data.student_id].append(r.data.outcome_thousandths)
    stand = [
        r
        for r in of(school.records, "course_record")
        if r.data.course_id == course and r.data.progress is not None
    ]
    # There is one record of each student and course.
    progress = {r.data.student_id: r.data.progress for r in stand}
    return {
        course: {
            "right": mean(mean(each) / 1000 for each in outcomes.values()) if outcomes else None,
            "students": len(outcomes),
            "median_progress": median(progress.values()) / 100 if progress else None,
            "students_with_progress": len(progress),
        }
    }


def levels(school: School, course: str) -> dict[str, tuple[float, float]]:
    """The level of each point on the logit and its variance, from the first attempts of the students of the course."""
    return levels_of(of_points(school, course))


def levels_of(tried: dict[str, dict[str, list[int]]]) -> dict[str, tuple[float, float]]:
    """`tried` is point -> student -> outcomes."""
    right: dict[str, int] = defaultdict(int)
    number: dict[str, int] = defaultdict(int)
    for point, students in tried.items():
        outcomes = [outcome for each in students.values() for outcome in each]
        right[point] = sum(outcome >= 500 for outcome in outcomes)
        number[point] = len(outcomes)
    share_at_all = (sum(right.values()) + 1) / (sum(number.values()) + 2)
    found = {}
    for point, n in number.items():
        share = (right[point] + 15 * share_at_all) / (n + 15)
        found[point] = log(share / (1 - share)), 1 / ((n + 15) * share * (1 - share))
    return found


Estimate = tuple[float, float, float]  # probability, and the ends of its interval


def estimates(school: School, course: str) -> dict[str, tuple[dict[str, Estimate], float, float]]:
    """Student -> (point -> estimate), ability and its standard error, of those with attempts.

    One dense system of equations for ability and strengths together, solved by Newton's method until nothing changes.
    """
    tried = of_points(school, course)
    of_course = levels(school, course)
    return {
        who: estimates_of(
            {point: tried[point][who] for point in sorted(tried) if who in tried[point]}, of_course
        )
        for who in {who for students in tried.values() for who in students}
    }


def estimates_of(
    mine: dict[str, list[int]], of_course: dict[str, tuple[float, float]]
) -> tuple[dict[str, Estimate], float, float]:
    level = np.array([of_course[point][0] for point in mine])
    right = np.array([sum(each >= 500 for each in mine[point]) for point in mine])
    number = np.array([len(mine[point]) for point in mine])
    effects = np.zeros(len(mine) + 1)  # the ability, and the strength at each point
    prior = np.diag([1 / 0.64, *[1 / 0.49] * len(mine)])
    design = np.hstack([np.ones((len(mine), 1)), np.eye(len(mine))])
    hessian = prior
    for _ in range(25):
        chance = 1 / (1 + np.exp(-(level + design @ effects)))
        gradient = design.T @ (right - number * chance) - prior @ effects
        hessian = design.T @ np.diag(number * chance * (1 - chance)) @ design + prior
        effects = effects + np.linalg.solve(hessian, gradient)
    covariance = np.linalg.inv(hessian)
    found = {}
    for row, point in enumerate(mine):
        variance = design[row] @ covariance @ design[row]
        shrunk = (effects[0] + effects[row + 1]) / sqrt(1 + pi * variance / 8)
        last = 0.734 if mine[point][-1] >= 500 else 0.391
        logit = -0.638 + 1.082 * level[row] + 0.924 * shrunk + 0.165 * log(1 + number[row]) + last
        error = sqrt(0.924**2 * variance + 1.082**2 * of_course[point][1] + 0.12)
        ends = (logit, logit - Z * error, logit + Z * error)
        probability, low, high = (1 / (1 + exp(-each)) for each in ends)
        found[point] = probability, low, high
    return found, float(effects[0]), sqrt(covariance[0, 0])


def state_of(estimate: Estimate) -> str:
    probability, low, high = estimate
    if high - low > 0.5:
        return "too few for an estimate"
    return "mastered" if probability >= 0.75 else "not mastered"


def mean_of(each: Sequence[Estimate]) -> Estimate:
    middle = mean(probability for probability, _, _ in each)
    spread = sqrt(sum(((high - low) / 2) ** 2 for _, low, high in each)) / len(each)
    return middle, max(middle - spread, 0.0), min(middle + spread, 1.0)


def student(school: School, course: str, who: str) -> dict[Any, dict[str, Any]]:
    """One student's points. Every attempt of a school is of this year, so none is long ago."""
    mine = {
        point: students[who]
        for point, students in of_points(school, course).items()
        if who in students
    }
    rows = {}
    right = {point: sum(each >= 500 for each in outcomes) for point, outcomes in mine.items()}
    wrong = {point: len(mine[point]) - right[point] for point in mine}
    concerned = [
        points for r, points in mistakes(school, course).values() if r.data.student_id == who
    ]
    estimated, _, _ = estimates(school, course).get(who, ({}, 0.0, 0.0))
    for point in set(mine) | {point for points in concerned for point in points}:
        estimate = estimated.get(point)
        probability, low, high = estimate or (None, None, None)
        rows[point] = {
            "state": state_of(estimate) if estimate else "too few for an estimate",
            "low": low,
            "high": high,
            "right": right.get(point, 0),
            "wrong": wrong.get(point, 0),
            "mistakes": sum(point in points for points in concerned),
            "probability": probability,
        }
    return rows


def mastery(school: School, course: str) -> dict[Any, dict[str, Any]]:
    """Over the students with a first attempt at the point."""
    of_point: dict[str, list[Estimate]] = defaultdict(list)
    for estimated, _, _ in estimates(school, course).values():
        for point, estimate in estimated.items():
            of_point[point].append(estimate)
    rows = {}
    for point, each in of_point.items():
        middle, low, high = mean_of(each)
        rows[point] = {
            "mastery": middle,
            "low": low,
            "high": high,
            "students": len(each),
            "mastered": [state_of(estimate) for estimate in each].count("mastered"),
        }
    return rows


def trend(school: School, course: str, window: Window = ALWAYS) -> dict[Any, dict[str, Any]]:
    def week_of(moment: datetime) -> str:
        year, week, _ = moment.astimezone(school.zone).isocalendar()
        return date.fromisocalendar(year, week, 1).isoformat()

    tried: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for r in first_attempts(school, course, window):
        tried[week_of(r.timestamp)][r.data.student_id].append(r.data.outcome_thousandths / 1000)
    made = [r for r, _ in mistakes(school, course).values() if is_in(window, r.timestamp)]
    rows = {}
    for week in {*tried, *(week_of(r.timestamp) for r in made)}:
        here = [r for r in made if week_of(r.timestamp) == week]
        outcomes = tried.get(week, {})
        rows[week] = {
            "first_attempts": sum(map(len, outcomes.values())),
            "students": len(outcomes),
            "right": mean(map(mean, outcomes.values())) if outcomes else None,
            "mistakes": len(here),
            "unresolved": sum(not getattr(r.data, "resolved", False) for r in here),
        }
    return rows


def terms(school: School, course: str) -> tuple[dict[Any, dict[str, Any]], dict[str, int]]:
    """The rows, and how many first attempts and mistakes lie in no term. A term without an end does not count."""
    dated = [r.data for r in of(school.records, "term_record") if r.data.ends]
    first = first_attempts(school, course)
    made = [r for r, _ in mistakes(school, course).values()]
    windows = [term_of(school, term.term) for term in dated]
    in_no_term = {}
    for name, records in (("first attempts", first), ("mistakes", made)):
        outside = [r for r in records if not any(is_in(w, r.timestamp) for w in windows)]
        in_no_term[f"{name} in no term"] = len(outside)
    rows = {}
    for term, window in zip(dated, windows, strict=True):
        outcomes: dict[str, list[float]] = defaultdict(list)
        for r in first_attempts(school, course, window):
            outcomes[r.data.student_id].append(r.data.outcome_thousandths / 1000)
        here = [r for r in made if is_in(window, r.timestamp)]
        if outcomes or here:
            rows[term.term] = {
                "starts": term.starts,
                "ends": term.ends,
                "first_attempts": sum(map(len, outcomes.values())),
                "students": len(outcomes),
                "right": mean(map(mean, outcomes.values())) if outcomes else None,
                "mistakes": len(here),
                "unresolved": sum(not getattr(r.data, "resolved", False) for r in here),
            }
    return rows, in_no_term


def due(school: School, course: str, until: datetime) -> dict[Any, dict[str, Any]]:
    """The boxes are found backwards: one for each right day since the last wrong one, and that one itself."""
    tries: dict[tuple[str, str], list[Any]] = defaultdict(list)
    for r in attempts(school, course):
        for point in tests(school)[r.data.item_id] if r.timestamp <= until else ():
            tries[r.data.student_id, point].append(r)
    rows = {}
    for key, made in tries.items():
        days: dict[date, list[int]] = defaultdict(list)
        for r in made:
            day = r.timestamp.astimezone(school.zone).date()
            days[day].append(r.data.outcome_thousandths)
        right = [mean(days[day]) >= 500 for day in sorted(days, reverse=True)]
        box = min(6, right.index(False) + 1 if False in right else len(right))
        last = max(days)
        overdue = (until.astimezone(school.zone).date() - last).days - 2 ** (box - 1)
        if overdue >= 0:
            rows[key] = {
                "tries": len(made),
                "box": box,
                "last_practised": last,
                "due_on": last + timedelta(days=2 ** (box - 1)),
                "days_overdue": overdue,
            }
    return rows


def attention(school: School, course: str) -> dict[Any, dict[str, Any]]:
    contacts: dict[str, list[datetime]] = defaultdict(list)
    for r in of(school.records, "teacher_interaction"):
        if r.data.course_id in {None, course}:
            contacts[r.data.student_id].append(r.timestamp)
    made: dict[str, list[datetime]] = defaultdict(list)
    for r, _ in mistakes(school, course).values():
        made[r.data.student_id].append(r.timestamp)
    rows = {}
    for who, times in made.items():
        unanswered = [at for at in times if not any(contact > at for contact in contacts[who])]
        rows[who] = {
            "mistakes": len(times),
            "unanswered": len(unanswered),
            "first_unanswered": min(unanswered, default=None),
            "median_hours_to_contact": median_wait(
                [(at, min((c for c in contacts[who] if c > at), default=None)) for at in times]
            ),
        }
    return rows


def median_wait(waits: list[tuple[datetime, datetime | None]]) -> float | None:
    """By going through the hours one by one, as the estimate is defined. Who still waits does so for longest here."""
    lengths = [((end or NOW) - at, end is not None) for at, end in waits]
    surviving = 1.0
    for hour in range(50):
        at_risk = [each for each in lengths if each[0] >= timedelta(hours=hour)]
        ended = [each for each in at_risk if each[1] and each[0] == timedelta(hours=hour)]
        if ended:
            surviving *= 1 - len(ended) / len(at_risk)
            if surviving < 0.5 + 1e-9:
                return float(hour)
    return None


def needs_of(edges: dict[tuple[str, str], float], point: str) -> set[str]:
    """All that a point needs, by one step or more."""
    found, size = {needed for one, needed in edges if one == point}, -1
    while len(found) > size:
        size = len(found)
        found |= {needed for one, needed in edges if one in found}
    return found


def points_on_the_way(school: School, goal: str, least: float) -> set[str]:
    edges = {pair: sure for pair, sure in prerequisites(school).items() if sure >= least}
    goal = point_of(school, goal)
    return {goal} | needs_of(edges, goal)


def learn_next(
    school: School, course: str, who: str, goal: str, least: float
) -> dict[Any, dict[str, Any]]:
    """The step of a point is one more than the last step of what it needs, and that does not need it in turn."""
    edges = {
        pair: confidence
        for pair, confidence in prerequisites(school).items()
        if confidence >= least
    }
    of_student = student(school, course, who)
    way = points_on_the_way(school, goal, least)
    goal = point_of(school, goal)
    sure = {
        point: each["probability"]
        for point, each in of_student.items()
        if each["state"] != "too few for an estimate"
    }
    left = {point for point in way if sure.get(point, 0) < 0.75}

    def step(point: str) -> int:
        before = {
            each for each in needs_of(edges, point) & left if point not in needs_of(edges, each)
        }
        return 1 + max(map(step, before), default=0)

    return {
        point: {
            "step": step(point),
            "action": "learn" if point in sure else "check first",
            "probability": of_student.get(point, {}).get("probability"),
            "low": of_student.get(point, {}).get("low"),
            "high": of_student.get(point, {}).get("high"),
            "first_attempts": sum(
                of_student.get(point, {}).get(each, 0) for each in ("right", "wrong")
            ),
        }
        for point in left
    }


def school_days(school: School, after: date, before: date) -> int:
    """Days between the two, neither counted, that are no weekend and lie in a term and in none of its breaks."""
    terms = [r.data for r in of(school.records, "term_record")]
    number, day = 0, after + timedelta(days=1)
    while day < before:
        noon = datetime(day.year, day.month, day.day, 12, tzinfo=school.zone)
        taught = not terms
        for term in terms:
            breaks = [tuple(map(datetime.fromisoformat, each.split("/"))) for each in term.breaks]
            taught |= is_in((term.starts, term.ends), noon) and not any(
                is_in(each, noon) for each in breaks
            )
        number += taught and day.isoweekday() <= 5
        day += timedelta(days=1)
    return number


def abilities(school: School, course: str) -> dict[str, tuple[Any, Any, Any]]:
    """Student -> the share right beside an average student, and the ends of its interval.

    It is made from all attempts at items of known points, retries included.
    """
    every: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for r in attempts(school, course):
        for point in tests(school)[r.data.item_id]:
            every[point][r.data.student_id].append(r.data.outcome_thousandths)
    of_course = levels_of(every)
    found = {}
    for who in {who for students in every.values() for who in students}:
        mine = {point: every[point][who] for point in sorted(every) if who in every[point]}
        _, ability, error = estimates_of(mine, of_course)
        ends = (ability, ability - Z * error, ability + Z * error)
        middle, low, high = (1 / (1 + exp(-each)) for each in ends)
        found[who] = middle, low, high
    return found


def was_right_later(
    school: School, who: str, where: tuple[str, str | None, set[str]], since: Any
) -> bool:
    """Whether a student was right at an item, or at first at an item of some points, after `since`.

    `where` are the course, the item and the points; `since` is a moment, or the place of an attempt.
    """
    course, item, points = where
    first = {r.record_id for r in first_attempts(school, course)}
    for r in attempts(school, course):
        place = (r.timestamp, r.data.attempt_number or 0, r.record_id)
        is_later = place > since if isinstance(since, tuple) else r.timestamp > since
        if r.data.student_id != who or r.data.outcome_thousandths < 500 or not is_later:
            continue
        is_at_point = r.record_id in first and bool(tests(school)[r.data.item_id] & points)
        if r.data.item_id == item or is_at_point:
            return True
    return False


def days_of_activity(school: School, course: str, who: str) -> list[date]:
    days = [
        r.timestamp.astimezone(school.zone).date()
        for r in attempts(school, course)
        if r.data.student_id == who
    ]
    made = mistakes(school, course).values()
    days += [
        r.timestamp.astimezone(school.zone).date() for r, _ in made if r.data.student_id == who
    ]
    written = (*of(school.records, "student_interaction"), *of(school.records, "post_record"))
    for r in (*written, *of(school.records, "activity_record")):
        mine = getattr(r.data, "student_id_from", None) or getattr(r.data, "student_id", None)
        if mine == who and r.data.course_id == course:
            days.append(r.timestamp.astimezone(school.zone).date())
    return days


def stuck_items(school: School, course: str, who: str, limits: dict[str, Any]) -> list[str]:
    tries: dict[str, int] = defaultdict(int)
    for r in attempts(school, course):
        recent = (
            school_days(
                school,
                r.timestamp.astimezone(school.zone).date(),
                NOW.astimezone(school.zone).date(),
            )
            < limits["recent_school_days"]
        )
        if r.data.student_id != who or not recent or r.data.outcome_thousandths >= 500:
            continue
        place = (r.timestamp, r.data.attempt_number or 0, r.record_id)
        where = (course, r.data.item_id, tests(school)[r.data.item_id])
        if not was_right_later(school, who, where, place):
            tries[r.data.item_id] += 1
    return sorted(item for item, number in tries.items() if number >= limits["stuck_tries"])


def repeated_types(school: School, course: str, who: str, limits: dict[str, Any]) -> list[str]:
    found = {each.record["record_id"]: each.finding for each in school.findings}
    times: dict[str, int] = defaultdict(int)
    for record_id, (r, behind) in mistakes(school, course).items():
        recent = (
            school_days(
                school,
                r.timestamp.astimezone(school.zone).date(),
                NOW.astimezone(school.zone).date(),
            )
            < limits["recent_school_days"]
        )
        if r.data.student_id != who or not recent or getattr(r.data, "resolved", None):
            continue
        item = getattr(r.data, "item_id", None)
        points = {*behind} | (tests(school)[item] if item else set())
        if was_right_later(school, who, (course, item, points), r.timestamp):
            continue
        stated = [each for each in (getattr(r.data, "error_type", None),) if each]
        types = (each.name for each in getattr(found.get(record_id), "error_types", ()))
        for kind in {*stated, *types}:
            times[kind] += getattr(r.data, "occurrence_count", None) or 1
    return sorted(kind for kind, number in times.items() if number >= limits["same_mistakes"])


def needs_help(
    school: School, course: str, limits: dict[str, Any]
) -> tuple[dict[Any, dict[str, Any]], int]:
    """The rows, and how many are inactive if these are more than a half, so that nobody is said to be."""
    active = {who: days_of_activity(school, course, who) for who in roster(school, course)}
    idle = {
        who: school_days(school, max(days), NOW.astimezone(school.zone).date()) if days else None
        for who, days in active.items()
    }
    least = limits["inactive_school_days"]
    inactive = {who for who, number in idle.items() if number is None or number >= least}
    all_are = 2 * len(inactive) > len(idle)
    of_all = abilities(school, course)
    estimated = estimates(school, course)
    rows = {}
    for who, days in active.items():
        stuck = stuck_items(school, course, who, limits)
        repeated = repeated_types(school, course, who, limits)
        mine, _, _ = estimated.get(who, ({}, 0.0, 0.0))
        low_points = {
            point
            for point, each in mine.items()
            if state_of(each) != "too few for an estimate" and each[0] < 0.5
        }
        estimate, low, high = of_all.get(who, (None, None, None))
        outcomes = [
            r.data.outcome_thousandths >= 500
            for r in attempts(school, course)
            if r.data.student_id == who
        ]
        is_low = estimate is not None and estimate < limits["low_estimate"]
        is_weak = estimate is None or estimate < 0.5
        holds = {
            "below the course": is_low and 4 * sum(outcomes) < 3 * len(outcomes),
            "stuck": is_weak and bool(stuck),
            "repeated mistakes": is_weak and bool(repeated),
            "inactive": who in inactive and not all_are,
        }
        reasons = tuple(rule for rule, does in holds.items() if does)
        is_known = low is not None and high is not None and high - low <= 0.5
        rows[who] = {
            "bucket": [*reasons, "no sign" if is_known else "too little is known"][0],
            "reasons": reasons,
            "estimate": estimate,
            "low": low,
            "high": high,
            "last_active": max(days, default=None),
            "school_days_inactive": idle[who],
            "stuck_at": tuple(stuck),
            "repeated": tuple(repeated),
            "low_points": low_points,
        }
    return rows, len(inactive) if all_are else 0


def today(school: School, course: str, helped: Sequence[Any]) -> dict[Any, dict[str, Any]]:
    """Kind -> the action. `helped` are the rows of needs-help in their order, which have a reference of their own."""
    made = [r for r, _ in mistakes(school, course).values()]
    moments = [r.timestamp for r in (*attempts(school, course), *made)]
    tomorrow = max(moments, default=NOW).astimezone(school.zone).date() + timedelta(days=1)
    days = {
        r.record_id: school_days(school, r.timestamp.astimezone(school.zone).date(), tomorrow)
        for r in school.records
    }
    actions = {
        "repeat": point_to_repeat(school, course, days),
        "speak": students_to_speak_with(school, course, days, helped),
        "answer": mistakes_to_answer(school, course, days),
    }
    return {kind: action for kind, action in actions.items() if action}


def point_to_repeat(school: School, course: str, days: dict[str, int]) -> dict[str, Any]:
    """`days` has the school days after each record here and below."""
    outcomes: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for r in first_attempts(school, course):
        for point in tests(school)[r.data.item_id] if days[r.record_id] < 15 else ():
            outcomes[point][r.data.student_id].append(r.data.outcome_thousandths)
    wrong = {
        point: {who for who, each in of_students.items() if mean(each) < 500}
        for point, of_students in outcomes.items()
    }
    troubled = [point for point in wrong if len(wrong[point]) >= max(3, len(outcomes[point]) / 4)]
    if not troubled:
        return {}
    share = {point: len(wrong[point]) / len(outcomes[point]) for point in troubled}
    point = min(troubled, key=lambda each: (-len(wrong[each]), -share[each], each))
    at_all = of_points(school, course)
    gaps = []
    for needed, confidence in ways(school, point).items():
        of_needed = at_all.get(needed, {})
        both = [w for w in wrong[point] if w in of_needed and mean(of_needed[w]) < 500]
        if len(both) * 2 >= len(wrong[point]):
            gaps.append((-len(both), -confidence, needed))
    behind = [
        r
        for (who, p), tries in tries_at(school, course).items()
        for r in tries
        if p == point and who in wrong[point] and days[r.record_id] < 15
    ]
    return {
        "point": point,
        "students": tuple(sorted(wrong[point])),
        "number": len(wrong[point]),
        "out_of": len(outcomes[point]),
        "gap": min(gaps)[2] if gaps else None,
        "gap_students": -min(gaps)[0] if gaps else None,
        "records": latest([r for r in behind if r.data.outcome_thousandths < 500]),
    }


def students_to_speak_with(
    school: School, course: str, days: dict[str, int], helped: Sequence[Any]
) -> dict[str, Any]:
    reasons = {row.student: row.reasons for row in helped}
    in_need = [who for who, each in reasons.items() if each]
    chosen = in_need[:3]
    if not chosen:
        return {}
    wrong = [r for r in attempts(school, course) if r.data.outcome_thousandths < 500]
    wrong += [r for r, _ in mistakes(school, course).values()]
    return {
        "students": tuple(chosen),
        "reasons": tuple("; ".join(reasons[who]) for who in chosen),
        "number": len(chosen),
        "out_of": len(in_need),
        "records": latest(
            [r for r in wrong if r.data.student_id in chosen and days[r.record_id] < 15]
        ),
    }


def mistakes_to_answer(school: School, course: str, days: dict[str, int]) -> dict[str, Any]:
    contacts: dict[str, list[datetime]] = defaultdict(list)
    for r in of(school.records, "teacher_interaction"):
        if r.data.course_id in {None, course} and r.data.student_id in roster(school, course):
            contacts[r.data.student_id].append(r.timestamp)
    recent = [r for r, _ in mistakes(school, course).values() if days[r.record_id] < 15]
    waiting = []
    for r in recent:
        is_answered = any(each > r.timestamp for each in contacts[r.data.student_id])
        is_resolved = getattr(r.data, "resolved", None) is True
        if days[r.record_id] >= 5 and not is_answered and not is_resolved:
            waiting.append(r)
    waiting.sort(key=lambda r: (r.timestamp, r.record_id))
    if not waiting or not any(contacts.values()):
        return {}
    return {
        "students": tuple(dict.fromkeys(r.data.student_id for r in waiting)),
        "number": len(waiting),
        "out_of": len(recent),
        "school_days": days[waiting[0].record_id],
        "records": tuple(r.record_id for r in waiting),
    }


def latest(records: Sequence[Any]) -> tuple[str, ...]:
    """The ids of these records, the latest first. There are fewer than an action shows at most."""
    times = {r.record_id: r.timestamp for r in records}
    return tuple(sorted(times, key=lambda each: (times[each], each), reverse=True))[:50]


def together(school: School, course: str) -> dict[Any, dict[str, Any]]:
    """(point, number of the group) -> its students, and the points that need the point."""
    cells = grid(school, course)
    mine = {point for _, point in cells} | taught_points(school, course)
    needed_for: dict[str, set[str]] = defaultdict(set)
    for point, needed in prerequisites(school):
        if point in mine and point != needed:
            needed_for[needed].add(point)
    weak: dict[str, list[tuple[float, int, str]]] = defaultdict(list)
    for (who, point), cell in cells.items():
        if point in needed_for and cell["share"] is not None and cell["share"] < 0.5:
            weak[who].append((cell["share"], -cell["first_attempts"], point))
    rows = {}
    for point, later in needed_for.items():
        students = sorted((min(each), who) for who, each in weak.items() if min(each)[2] == point)
        left = [who for _, who in students]
        groups = (len(left) + 5) // 6
        for number in range(1, groups + 1 if len(left) >= 3 else 1):
            size = -(-len(left) // (groups - number + 1))
            rows[point, number] = {"students": tuple(left[:size]), "for": later}
            left = left[size:]
    return rows


def taught_points(school: School, course: str) -> set[str]:
    return {
        point_of(school, point.name)
        for each in school.findings
        if each.record["type"] == "course_content" and each.record["data"]["course_id"] == course
        for point in each.finding.knowledge_points
    }


def ready(
    school: School, point: str, states: dict[str, dict[str, str]]
) -> dict[str, tuple[str, set[str], set[str], set[str]]]:
    """Student -> the state, and the direct prerequisites that are missing, unsure and mastered.

    `states` has the mastery by student and point, which has a reference of its own.
    """
    point = point_of(school, point)
    needs = {needed for each, needed in prerequisites(school) if each == point != needed}
    rows = {}
    for who, of_student in states.items() if needs else ():
        missing = {each for each in needs if of_student.get(each) == "not mastered"}
        mastered = {each for each in needs if of_student.get(each) == "mastered"}
        unsure = needs - missing - mastered
        state = "not ready" if missing else "to check" if unsure else "ready"
        rows[who] = state, missing, unsure, mastered
    return rows


def practice(school: School, course: str, who: str) -> list[tuple[Any, ...]]:
    """The items to practise in their order: the place of the point, the point, the item, the tries and the last one."""
    mine = student(school, course, who)
    weak = [
        point
        for point, row in mine.items()
        if row["probability"] is not None and row["state"] != "mastered"
    ]
    missing = {point for point, row in mine.items() if row["state"] == "not mastered"}
    lacking = {each for each, needed in prerequisites(school) if needed in missing - {each}}
    weak.sort(key=lambda point: (point in lacking, round(mine[point]["probability"], 6), point))
    tries: dict[str, list[Any]] = defaultdict(list)
    for r in attempts(school, course, {who}):
        tries[r.data.item_id].append(r)
    listed: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
    tested = tests(school)
    for item in {
        r.data.item_id for r in of(school.records, "attempt_record") if course in r.data.courses
    }:
        point = next((each for each in weak if each in tested[item]), None)
        last = tries[item][-1] if tries[item] else None
        if point and (last is None or last.data.outcome_thousandths < 500):
            listed[point].append(
                (last is None, last.timestamp if last else NOW, item, len(tries[item]))
            )
    return [
        (place, point, item, number, None if is_new else moment)
        for place, point in enumerate(weak, start=1)
        for is_new, moment, item, number in sorted(listed[point])[:5]
    ]


def answers(school: School, course: str) -> dict[Any, dict[str, Any]]:
    given: dict[tuple[str, str], list[Any]] = defaultdict(list)
    answered: dict[str, int] = defaultdict(int)
    for r in first_attempts(school, course):
        if r.data.response:
            given[r.data.item_id, r.data.response].append(r)
            answered[r.data.item_id] += 1
    return {
        (item, response): {
            "right": mean(r.data.outcome_thousandths / 1000 for r in records),
            "students": len(records),
            "answered": answered[item],
            "share": len(records) / answered[item],
            "who": tuple(sorted(r.data.student_id for r in records)),
        }
        for (item, response), records in given.items()
    }


def changes(school: School, course: str, until: datetime) -> dict[Any, dict[str, Any]]:
    weeks: dict[str, list[list[float]]] = defaultdict(lambda: [[], []])
    for r in first_attempts(school, course):
        for back in (0, 1):
            after, last = (until - timedelta(weeks=back + 1), until - timedelta(weeks=back))
            if after < r.timestamp <= last:
                weeks[r.data.student_id][back].append(r.data.outcome_thousandths / 1000)
    enough = {who: each for who, each in weeks.items() if min(map(len, each)) >= 3}
    change = {who: mean(now) - mean(before) for who, (now, before) in enough.items()}
    of_class = mean(change.values()) if change else 0.0
    rows = {}
    for who, (now, before) in enough.items():
        difference = round(change[who] - of_class, 9)
        direction = (
            "rose" if difference >= 0.2 else "fell" if difference <= -0.2 else "about the same"
        )
        rows[who] = {
            "state": direction,
            "right_before": mean(before),
            "right_now": mean(now),
            "attempts_before": len(before),
            "attempts_now": len(now),
            "class_change": of_class,
            "difference": change[who] - of_class,
        }
    return rows


def spread(school: School, course: str) -> dict[Any, dict[str, Any]]:
    rows = {}
    for point, of_students in of_points(school, course).items():
        shares = [mean(each) / 1000 for each in of_students.values()]
        n = len(shares)
        rows[point] = {
            "students": n,
            "right": mean(shares),
            "none_right": sum(each == 0 for each in shares) / n,
            "under_half": sum(0 < each < 0.5 for each in shares) / n,
            "half_or_more": sum(0.5 <= each < 1 for each in shares) / n,
            "all_right": sum(each == 1 for each in shares) / n,
        }
    return rows


def mood(school: School, course: str, window: Window = ALWAYS) -> dict[Any, dict[str, Any]]:
    found = {each.record["record_id"]: each.finding for each in school.findings}
    cells: dict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
    of_students = (*of(school.records, "student_interaction"), *of(school.records, "post_record"))
    for r in (*of_students, *of(school.records, "teacher_interaction")):
        finding = found.get(r.record_id)
        who = getattr(r.data, "student_id_from", None) or r.data.student_id
        counts = (
            r.data.course_id == course
            and who in roster(school, course)
            and is_in(window, r.timestamp)
        )
        if not counts or finding is None or finding.sentiment is None:
            continue
        year, week, _ = r.timestamp.astimezone(school.zone).isocalendar()
        over = {
            canonical_name(each)
            for each in (*finding.topics, *(getattr(r.data, "topics", None) or ()))
        }
        for each_week in ("", date.fromisocalendar(year, week, 1).isoformat()):
            for topic in ("", *over):
                cells[each_week, topic].append((who, finding.sentiment))
    return {
        cell: {
            "negative": sum(mood == "negative" for _, mood in told) / len(told),
            "texts": len(told),
            "students": len({who for who, _ in told}),
        }
        for cell, told in cells.items()
    }


def ties(
    school: School, course: str
) -> tuple[dict[Any, dict[str, Any]], dict[tuple[str, str], int]]:
    """The rows, and how often one wrote to or liked another."""
    people = roster(school, course)
    sent: dict[tuple[str, str], int] = defaultdict(int)
    for r in of(school.records, "student_interaction"):
        pair = r.data.student_id_from, r.data.student_id_to
        if set(pair) <= people and r.data.course_id in {None, course}:
            sent[pair] += (
                r.data.message_count if r.data.interaction_type == "chat" else r.data.like_count
            )
    posts = {
        r.record_id: r for r in of(school.records, "post_record") if r.data.course_id == course
    }
    for r in posts.values():
        answered = posts.get(r.data.reply_to)
        pair = r.data.student_id, answered.data.student_id if answered else r.data.student_id
        if set(pair) <= people and pair[0] != pair[1]:
            sent[pair] += 1
    rows = {}
    for who in people:
        partners = {other for pair in sent for other in pair if who in pair} - {who}
        mutual = [each for each in partners if (who, each) in sent and (each, who) in sent]
        exchanged = {each: sent.get((who, each), 0) + sent.get((each, who), 0) for each in partners}
        rows[who] = {
            "ties": len(partners),
            "mutual": len(mutual),
            "reciprocity": len(mutual) / len(partners) if partners else None,
            "sent": sum(number for (one, _), number in sent.items() if one == who),
            "received": sum(number for (_, other), number in sent.items() if other == who),
            "partners": tuple(sorted(partners, key=lambda each: (-exchanged[each], each))),
        }
    tied = {who for pair in sent for who in pair}
    return (rows if len(tied) * 5 >= len(people) * 3 else {}), dict(sent)


def groups(
    school: School, course: str, sides: list[tuple[set[str], str]]
) -> dict[Any, dict[str, Any]]:
    """Each side is who is in the group, and its term."""
    windows = [term_of(school, term) for _, term in sides]
    weeks = []
    for starts, ends in windows:
        begins = (starts or NOW).astimezone(school.zone).date()
        begins -= timedelta(days=begins.weekday())
        last_moment = min(ends or NOW, NOW) - timedelta(seconds=1)
        weeks.append((begins, last_moment.astimezone(school.zone).date()))
    last = min((until - begins).days // 7 + 1 for begins, until in weeks)
    made: list[list[tuple[Any, int]]] = []
    for (people, _), window, (begins, _) in zip(sides, windows, weeks, strict=True):
        dated = [
            (r, (r.timestamp.astimezone(school.zone).date() - begins).days // 7 + 1)
            for r in first_attempts(school, course, window, people)
        ]
        made.append([(r, week) for r, week in dated if week <= last])
    shared = {r.data.item_id for r, _ in made[0]} & {r.data.item_id for r, _ in made[1]}
    cells: dict[Any, tuple[dict[str, list[float]], dict[str, list[float]]]] = {}
    for side, mine in enumerate(made):
        for r, week in mine:
            right = r.data.outcome_thousandths / 1000
            for each_week in (None, week):
                found = [("right", "", each_week, right)]
                found += [
                    ("wrong at a point", p, each_week, 1 - right)
                    for p in tests(school)[r.data.item_id]
                ]
                for *cell, value in found if r.data.item_id in shared else ():
                    of_sides = cells.setdefault(tuple(cell), (defaultdict(list), defaultdict(list)))
                    of_sides[side][r.data.student_id].append(value)
    rows = {}
    for key, of_sides in cells.items():
        if all(of_sides):
            one, other = (mean(mean(each) for each in of_side.values()) for of_side in of_sides)
            sizes = {"students": len(of_sides[0]), "other_students": len(of_sides[1])}
            rows[key] = {"group": one, "other": other, "difference": one - other, **sizes}
    return rows


def course_rows(school: School, course: str) -> dict[Any, dict[str, Any]]:
    """Of each student of a course: what the question `roster` says."""
    outcomes: dict[str, list[Any]] = defaultdict(list)
    for r in first_attempts(school, course):
        outcomes[r.data.student_id].append(r)
    made = [r for r, _ in mistakes(school, course).values()]
    stand = {
        r.data.student_id: r
        for r in of(school.records, "course_record")
        if r.data.course_id == course
    }
    rows = {}
    for who in roster(school, course):
        tries, mine = outcomes[who], [r for r in made if r.data.student_id == who]
        rows[who] = {
            "progress": stand[who].data.progress if who in stand else None,
            "first_attempts": len(tries),
            "right": mean(r.data.outcome_thousandths / 1000 for r in tries) if tries else None,
            "mistakes": len(mine),
            "last": max((r.timestamp for r in (*tries, *mine)), default=None),
        }
    return rows


def course_map(school: School, course: str) -> dict[Any, dict[str, Any]]:
    """(point, what it needs) -> the confidence; a point that needs nothing stands with an empty need."""
    mine = set(of_points(school, course)) | {
        point_of(school, point.name)
        for each in school.findings
        if each.record["type"] == "course_content" and each.record["data"]["course_id"] == course
        for point in each.finding.knowledge_points
    }
    rows: dict[Any, dict[str, Any]] = {}
    for state, needs in (("followed", prerequisites(school)), ("proposed", proposed(school))):
        for pair, confidence in needs.items():
            if pair[0] in mine and pair[0] != pair[1]:
                rows[pair] = {"confidence": confidence, "state": state}
    alone = mine - {point for point, _ in rows}
    return rows | {(point, ""): {"confidence": None, "state": ""} for point in alone}


def listed_claims(finding: Any) -> list[tuple[str, str, float]]:
    """(aspect, name, confidence) of each type, point and sentence in the finding of a mistake, without proposals."""
    claims = [("error_type", each.name, each.confidence) for each in finding.error_types]
    for each in finding.knowledge_points:
        claims.append(("knowledge_point", each.name, each.confidence))
    if finding.what_went_wrong is not None:
        claims.append(("misconception", finding.what_went_wrong, finding.confidence))
    return claims


def review_queue(
    school: School, course: str, said: dict[tuple[str, ...], str]
) -> dict[Any, dict[str, Any]]:
    """Verdicts are by (record, aspect, target) or (item, target): a mistake whose finding is unsure, or was drawn."""
    found = {each.record["record_id"]: each.finding for each in school.findings}
    rows: dict[Any, dict[str, Any]] = {}
    behind: dict[tuple[str, str], set[str]] = defaultdict(set)
    read: dict[str, set[str]] = defaultdict(set)
    for record_id, (record, _) in mistakes(school, course).items():
        if record_id not in found:
            continue
        claims = listed_claims(found[record_id])
        proposed = {
            ("error_type", canonical_name(each.name)) for each in found[record_id].other_error_types
        } - {("error_type", canonical_name(name)) for _, name, _ in claims}
        claims += [
            ("error_type", each.name, each.confidence)
            for each in found[record_id].other_error_types
            if ("error_type", canonical_name(each.name)) in proposed
        ]
        # What was accepted counts, found or not; one target of each aspect was found at least.
        found_aspects = {aspect for aspect, _, _ in claims}
        effective = {
            key[2]
            for key, verdict in said.items()
            if key[:2] == (record_id, "knowledge_point")
            and verdict == "accepted"
            and key[1] in found_aspects
        }
        for aspect, name, confidence in claims:
            target = canonical_name(name)
            verdict = said.get((record_id, aspect, target))
            if aspect == "knowledge_point" and verdict != "rejected":
                effective.add(target)
            key = json.dumps([record_id, text_hash(record), aspect, target], ensure_ascii=False)
            is_proposed = (aspect, target) in proposed
            drawn = int(hashlib.sha256(key.encode()).hexdigest()[:15], 16) % 10 == 0
            drawn = drawn and not is_proposed
            if drawn or confidence < 0.6 or is_proposed:
                rows[record_id, aspect, target] = {
                    "confidence": confidence,
                    "drawn": drawn,
                    "verdict": verdict,
                }
                rows[record_id, aspect, target] |= {
                    "unsure": confidence < 0.6,
                    "text_hash": text_hash(record),
                    "calibration": "not calibrated",
                    "proposed": is_proposed,
                }
        item = getattr(record.data, "item_id", None)
        if item is not None:
            read[item].add(record_id)
            for target in effective:
                behind[item, target].add(record_id)
    count_judged(rows)
    rows |= proposed_topics(school, course, said)
    by_records = stated_points(school)
    for (item, target), records in behind.items():
        verdict = said.get((item, target))
        stated = {each for each in by_records[item] if said.get((item, each)) != "rejected"}
        stated |= {
            key[1]
            for key, verdict in said.items()
            if key[0] == item and len(key) == 2 and verdict == "accepted"
        }
        if verdict is not None or point_of(school, target) not in {
            point_of(school, each) for each in stated
        }:
            share = len(records) / len(read[item])
            rows[item, target] = {"mistakes": len(records), "confidence": share, "verdict": verdict}
            rows[item, target] |= {"calibration": None, "judged": None}
    return rows


def count_judged(rows: dict[Any, dict[str, Any]]) -> None:
    """Say in each row how many targets in different texts are judged of its aspect. Proposals neither count nor say it."""
    judged: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for (_, aspect, target), row in rows.items():
        if row["verdict"] and not row["proposed"]:
            judged[aspect].add((row["text_hash"], target))
    for (_, aspect, _), row in rows.items():
        row["judged"] = None if row.pop("proposed") else len(judged[aspect])


def proposed_topics(
    school: School, course: str, said: dict[tuple[str, ...], str]
) -> dict[Any, dict[str, Any]]:
    """The topics of messages between students of the course, and of posts and teachers' messages, that no list has."""
    found = {each.record["record_id"]: each.finding for each in school.findings}
    rows: dict[Any, dict[str, Any]] = {}
    of_students = (*of(school.records, "student_interaction"), *of(school.records, "post_record"))
    for r in (*of_students, *of(school.records, "teacher_interaction")):
        names = ("student_id_from", "student_id_to", "student_id")
        people = {each for name in names if (each := getattr(r.data, name, None)) is not None}
        if r.data.course_id != course or not people <= {*roster(school, course)}:
            continue
        finding = found.get(r.record_id)
        if finding is None:
            continue
        listed = {canonical_name(name) for name in finding.topics}
        for name in finding.other_topics:
            target = canonical_name(name)
            if target not in listed:
                rows[r.record_id, "topic", target] = {
                    "confidence": finding.confidence,
                    "drawn": False,
                    "unsure": False,
                    "known": False,
                    "calibration": "not calibrated",
                    "judged": None,
                    "verdict": said.get((r.record_id, "topic", target)),
                    "text_hash": text_hash(r),
                }
    return rows


def stated_points(school: School) -> dict[str, set[str]]:
    """Item -> the points that records say it tests, by the names that they use."""
    found: dict[str, set[str]] = defaultdict(set)
    for r in (*of(school.records, "item_record"), *of(school.records, "attempt_record")):
        found[r.data.item_id] |= {canonical_name(name) for name in r.data.knowledge_points or ()}
    return found
