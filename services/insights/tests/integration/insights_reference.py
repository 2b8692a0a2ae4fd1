"""What each question must answer, computed the plain way from records and findings; the graph is never asked.

Each function returns the rows of one question by their keys. Names of points are not compared: which spelling the
graph shows is tested with the importer.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise, permutations
from math import isclose, log, sqrt
from statistics import correlation, mean, median
from typing import Any

from edugraph_common.contracts.canonical_names import canonical_name

from .schools import NOW, School, of

Z = 1.959963984540054


def roster(school: School, course: str) -> set[str]:
    return {r.data.student_id for r in of(school.records, "course_record") if r.data.course_id == course}


def attempts(school: School, course: str) -> list[Any]:
    """Those that count, in the order in which they were made."""
    found = [
        r
        for r in of(school.records, "attempt_record")
        if course in r.data.courses and r.data.student_id in roster(school, course)
    ]
    return sorted(found, key=lambda r: (r.timestamp, r.data.attempt_number or 0, r.record_id))


def first_attempts(school: School, course: str) -> list[Any]:
    seen: set[tuple[str, str]] = set()
    found = []
    for r in attempts(school, course):
        if (r.data.student_id, r.data.item_id) not in seen:
            seen.add((r.data.student_id, r.data.item_id))
            found.append(r)
    return found


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


def of_points(school: School, course: str) -> dict[str, dict[str, list[int]]]:
    """Point -> student -> outcomes of first attempts at its items, in their order."""
    found: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    points = tests(school)
    for r in first_attempts(school, course):
        for point in points[r.data.item_id]:
            found[point][r.data.student_id].append(r.data.outcome_thousandths)
    return found


def is_lower_end(low: float, share: float, n: int) -> bool:
    """Whether it is Wilson's lower end: a truth from which the share is as far off as 95 % allow."""
    return isclose(share - low, Z * sqrt(low * (1 - low) / n), abs_tol=1e-9) or (low == 0 and share < 1e-9)


def weak_points(school: School, course: str) -> dict[Any, dict[str, Any]]:
    return {
        point: {
            "wrong": mean(1 - sum(outcomes) / 1000 / len(outcomes) for outcomes in students.values()),
            "students": len(students),
            "first_attempts": sum(len(outcomes) for outcomes in students.values()),
        }
        for point, students in of_points(school, course).items()
    }


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
    rows = {}
    for item in {r.data.item_id for r in first}:
        mine = [r for r in first if r.data.item_id == item]
        answers = [r.data.response for r in mine if r.data.outcome_thousandths < 500 and r.data.response]
        common = sorted({a for a in answers if answers.count(a) >= 3}, key=lambda a: (-answers.count(a), a))
        pairs = []
        for r in mine:
            rest = [
                o.data.outcome_thousandths for o in first if o.data.student_id == r.data.student_id and o is not r
            ]
            if rest:
                pairs.append((r.data.outcome_thousandths, mean(rest)))
        varies = all(len({round(pair[side], 6) for pair in pairs}) > 1 for side in (0, 1))
        rows[item] = {
            "right": mean(r.data.outcome_thousandths / 1000 for r in mine),
            "students": len(mine),
            "wrong_answers": tuple(common),
            "discrimination": correlation(*zip(*pairs, strict=True)) if len(pairs) >= 30 and varies else None,
        }
    return rows


def travelling_weaknesses(school: School, course: str, next_course: str) -> dict[Any, dict[str, Any]]:
    """Of the roster of the first course."""
    people, points = roster(school, course), tests(school)
    seen: dict[tuple[str, str, str], list[Any]] = defaultdict(list)
    for where in (course, next_course):
        firsts: set[tuple[str, str]] = set()
        everyone = [r for r in of(school.records, "attempt_record") if where in r.data.courses]
        for r in sorted(everyone, key=lambda r: (r.timestamp, r.data.attempt_number or 0, r.record_id)):
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
        after_wrong, after_right = (mean(map(float, groups[was])) if groups[was] else None for was in (True, False))
        if groups[True] or groups[False]:
            rows[point] = {
                "wrong_after_wrong": after_wrong,
                "wrong_after_right": after_right,
                "difference": None if after_wrong is None or after_right is None else after_wrong - after_right,
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
    """(point, what it needs) -> confidence."""
    found: dict[tuple[str, str], float] = {}
    for each in school.findings:
        for claim in getattr(each.finding, "prerequisites", ()):
            pair = point_of(school, claim.point), point_of(school, claim.requires)
            found[pair] = max(claim.confidence, found.get(pair, 0.0))
    return found


def ways(school: School, point: str) -> dict[str, float]:
    """What a point needs -> the confidence of the surest way. Four points have ways of three steps at most."""
    edges, names = prerequisites(school), sorted({end for pair in prerequisites(school) for end in pair})
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
        point: {"mistakes": len(records), "students": len({made[each][0].data.student_id for each in records})}
        for point, records in behind.items()
        if point not in taught
    }


def earlier_gaps(school: School, course: str) -> dict[Any, dict[str, Any]]:
    tried = of_points(school, course)
    rows = {}
    for point in tried:
        for gap, confidence in ways(school, point).items():
            both = set(tried[point]) & set(tried.get(gap, {}))
            wrong_at = {p: {s for s in both if mean(tried[p][s]) < 500} for p in (point, gap) if both}
            difference = None
            if len(both) >= 10 and 0 < len(wrong_at[gap]) < len(both):
                of_wrong = len(wrong_at[point] & wrong_at[gap]) / len(wrong_at[gap])
                of_right = len(wrong_at[point] - wrong_at[gap]) / len(both - wrong_at[gap])
                difference = of_wrong - of_right
            rows[point, gap] = {"confidence": confidence, "students": len(both), "difference": difference}
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
            "unsure": sum(bool(points) and max(points.values()) < 0.6 for _, points in made.values()) / n,
            "with_evidence": sum(each in found and bool(found[each].evidence) for each in made) / n,
        }
    return rows


def difficulty(school: School, course: str) -> dict[Any, dict[str, Any]]:
    outcomes: dict[str, list[int]] = defaultdict(list)
    for r in first_attempts(school, course):
        outcomes[r.data.student_id].append(r.data.outcome_thousandths)
    stand = [
        r for r in of(school.records, "course_record") if r.data.course_id == course and r.data.progress is not None
    ]
    progress = {r.data.student_id: r.data.progress for r in stand}  # one record of each student and course
    return {
        course: {
            "right": mean(mean(each) / 1000 for each in outcomes.values()) if outcomes else None,
            "students": len(outcomes),
            "median_progress": median(progress.values()) / 100 if progress else None,
            "students_with_progress": len(progress),
        }
    }


def student(school: School, course: str, who: str) -> dict[Any, dict[str, Any]]:
    """One student's points, with the probability by the formula as docs/insights.md gives it."""
    mine = {point: students[who] for point, students in of_points(school, course).items() if who in students}
    rows = {}
    right = {point: sum(each >= 500 for each in outcomes) for point, outcomes in mine.items()}
    wrong = {point: len(mine[point]) - right[point] for point in mine}
    concerned = [points for r, points in mistakes(school, course).values() if r.data.student_id == who]
    for point in set(mine) | {point for points in concerned for point in points}:
        tries = mine.get(point, [])
        logit = None
        if len(tries) >= 5:
            over_all = 0.2 * log(1 + sum(right.values())) - 0.2 * log(1 + sum(wrong.values()))
            logit = 0.8 * log(1 + right[point]) - 0.6 * log(1 + wrong[point]) + over_all
        rows[point] = {
            "right": right.get(point, 0),
            "wrong": wrong.get(point, 0),
            "mistakes": sum(point in points for points in concerned),
            "probability": None if logit is None else 1 / (1 + 2.718281828459045 ** (-logit)),
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


def standings(school: School, course: str) -> dict[Any, dict[str, Any]]:
    """Of each student of a course: what the question `roster` says."""
    outcomes: dict[str, list[Any]] = defaultdict(list)
    for r in first_attempts(school, course):
        outcomes[r.data.student_id].append(r)
    made = [r for r, _ in mistakes(school, course).values()]
    stand = {r.data.student_id: r for r in of(school.records, "course_record") if r.data.course_id == course}
    rows = {}
    for who in roster(school, course):
        tries, mine = outcomes[who], [r for r in made if r.data.student_id == who]
        rows[who] = {
            "progress": stand[who].data.progress,
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
    needs = {pair: c for pair, c in prerequisites(school).items() if pair[0] in mine and pair[0] != pair[1]}
    alone = {(point, ""): None for point in mine - {point for point, _ in needs}}
    return {pair: {"confidence": confidence} for pair, confidence in {**needs, **alone}.items()}
