"""Whether the interval of the question did-it-help has the true gain. `make bench-did-it-help`.

Each run takes a course of a synthetic school. A made-up teacher speaks, each week, with students who did worst in the
three weeks before, with some chance in the choice. After the talk, each wrong answer of the student becomes a right
one with the probability `gain`. So the true difference is known: it is the share of the first attempts in the three
weeks after the talk that became right, as the mean over the students with a talk. No server is needed: the question
reads attempts and talks from memory. The command prints one table and exits with 1 if a figure misses its goal.
"""

import argparse
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import cycle, islice
from random import Random
from statistics import fmean
from typing import Any, NamedTuple

from edugraph_cli.synthetic_school import School
from edugraph_insights.facts import Facts, TeacherAction
from edugraph_insights.questions.did_it_help import (
    ENOUGH_ATTEMPTS,
    QUESTION,
    WINDOW_DAYS,
    Helped,
)
from edugraph_insights.questions.question import OfSeveral
from evaluation.goals import Goal, missed_goals, print_goals
from evaluation.kept_columns import HeldRecords, Rows, TriedItem, columns_of

RUNS = 1_000
STUDENTS = 160  # 80 in each course
PLANS_OF_COURSE = 10  # plans of a teacher, each with other chance
GAINS = (0.0, 0.1, 0.2, 0.4)
TALKS_OF_WEEK = 3
FIRST_WEEK, LAST_WEEK = 4, 12  # the talks are in these weeks
CHANCE_OF_CHOICE = 0.1  # standard deviation that the teacher adds to each share right

GOALS = (
    Goal("share of the runs with an answer", least=0.95),
    Goal("share of the intervals that have the true gain", least=0.93, most=0.97),
    Goal("mean of the difference less the true gain", least=-0.01, most=0.01),
)


class AttemptsAndTalks(HeldRecords):
    """Answers the statements of the question from memory, in place of the graph."""

    def __init__(self, attempts: list[TriedItem], talks: list[TeacherAction]) -> None:
        super().__init__(attempts)
        self.talks = talks

    def read(self, statement: str, **asked: Any) -> Rows:
        if statement == "actions":
            return [talk._asdict() for talk in self.talks]
        if statement in {"contacts", "tested_points"}:
            return []
        return super().read(statement, **asked)


class Run(NamedTuple):
    answer: Helped
    true_gain: float


def attempts_of_courses(students: int, seed: int) -> dict[str, list[TriedItem]]:
    """Return the attempts with an outcome of each course of a synthetic school, in the order of time."""
    found: dict[str, list[TriedItem]] = defaultdict(list)
    for record in School(students, seed).records():
        data = record["data"]
        if record["type"] != "attempt_record" or "correct" not in data:
            continue
        at = datetime.fromisoformat(record["timestamp"])
        attempt = TriedItem(
            student=data["student_id"],
            item=data["item_id"],
            at=at.replace(tzinfo=at.tzinfo or UTC),
            number=data.get("attempt_number", 0),
            record=record["record_id"],
            outcome=1000 * data["correct"],
        )
        found[data["course_id"]].append(attempt)
    for attempts in found.values():
        attempts.sort(key=lambda each: (each.at, each.number, each.record))
    return dict(found)


def talks_of(attempts: list[TriedItem], random: Random) -> dict[str, datetime]:
    """Return when the teacher first speaks with students: each week with those who did worst lately."""
    begins = attempts[0].at
    talks: dict[str, datetime] = {}
    for week in range(FIRST_WEEK, LAST_WEEK + 1):
        at = begins + timedelta(weeks=week)
        late: dict[str, list[float]] = defaultdict(list)
        for attempt in attempts:
            if at - timedelta(days=WINDOW_DAYS) <= attempt.at < at:
                late[attempt.student].append(attempt.outcome / 1000)
        shares = {}
        for student, outcomes in sorted(late.items()):
            shares[student] = fmean(outcomes) + random.gauss(0, CHANCE_OF_CHOICE)
        worst_first = sorted(shares.keys() - talks.keys(), key=shares.__getitem__)
        talks |= dict.fromkeys(worst_first[:TALKS_OF_WEEK], at)
    return talks


def run(attempts: list[TriedItem], gain: float, random: Random) -> Run:
    talks = talks_of(attempts, random)
    changed = []
    gains: dict[str, list[float]] = defaultdict(list)
    seen: set[tuple[str, str]] = set()
    for attempt in attempts:
        talk = talks.get(attempt.student)
        is_first = (attempt.student, attempt.item) not in seen
        seen.add((attempt.student, attempt.item))
        outcome = attempt.outcome
        if talk is not None and attempt.at.date() > talk.date():
            is_turned = outcome == 0 and random.random() < gain
            if is_turned:
                outcome = 1000
            days_later = (attempt.at.date() - talk.date()).days
            if is_first and days_later <= WINDOW_DAYS:
                gains[attempt.student].append(float(is_turned))
        changed.append(attempt._replace(outcome=outcome))
    answer = _asked(changed, talks)
    enough = [each for each in gains.values() if len(each) >= ENOUGH_ATTEMPTS]
    return Run(answer, fmean(fmean(each) for each in enough))


def _asked(attempts: list[TriedItem], talks: Mapping[str, datetime]) -> Helped:
    actions = []
    for student, at in talks.items():
        actions.append(
            TeacherAction(
                student=student,
                record=f"talk-{student}",
                at=at,
                author="t",
                author_name=None,
                spoken=True,
                text=None,
                not_until=None,
            )
        )
    students = sorted({attempt.student for attempt in attempts})
    graph: Any = AttemptsAndTalks(attempts, actions)
    facts = Facts(graph, tuple(students), None, attempts[-1].at, columns=columns_of(graph))
    [measured] = QUESTION.find(facts, OfSeveral(course="course")).rows
    return measured.row


def runs_of(number: int, seed: int) -> Iterator[Run]:
    """Yield `number` runs. The schools have the seeds from `seed` on."""
    gains = cycle(GAINS)
    random = Random(seed)  # noqa: S311 - chance that can be repeated

    def all_runs() -> Iterator[Run]:
        school_seed = seed
        while True:
            courses = attempts_of_courses(STUDENTS, school_seed)
            for course in sorted(courses):
                for _ in range(PLANS_OF_COURSE):
                    yield run(courses[course], next(gains), random)
            school_seed += 1

    return islice(all_runs(), number)


def figures_of(runs: list[Run]) -> dict[str, float]:
    inside = []
    errors = []
    for each in runs:
        answer = each.answer
        if answer.difference is None or answer.low is None or answer.high is None:
            continue
        inside.append(answer.low <= each.true_gain <= answer.high)
        errors.append(answer.difference - each.true_gain)
    values = (len(inside) / len(runs), fmean(inside), fmean(errors))
    return {goal.name: value for goal, value in zip(GOALS, values, strict=True)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--seed", type=int, default=7)
    given = parser.parse_args()
    figures = figures_of(list(runs_of(given.runs, given.seed)))
    print_goals(GOALS, figures)
    return 1 if missed_goals(GOALS, figures) else 0


if __name__ == "__main__":
    sys.exit(main())
