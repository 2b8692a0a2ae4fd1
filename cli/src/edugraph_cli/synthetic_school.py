"""A synthetic school with known true mastery. It makes records for tests, benchmarks and demonstrations.

The answers come from another family of models than the estimate of mastery: skills that are correlated within a
student, the difficulty of items, guesses and slips, learning by doing, forgetting, retries until an answer is right,
students who leave, and one item in ten whose record names a wrong point. True mastery of a point is the chance of a
right answer to an average item that the student has not seen.

In some weeks of a term each course has homework: a written task for the course or for its groups, which students
hand in, hand in late, or do not hand in. Nobody has judged it. Attempts say how many hints were used, except at some
items.

The same arguments give the same records, so the order of calls of a random generator must not change. Homework and
hints have a generator of their own, so that the other records are the same as without them.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from itertools import chain
from math import exp
from random import Random
from typing import Any
from uuid import UUID

import yaml

GROUP_SIZE = 28
ITEMS_OF_A_POINT = 30
WRONG_TAGS = 0.10  # share of items whose record names another point of their course
LATE = 0.10  # share of students who join after the first week
CORRECTED = 0.02  # share of records that come a second time, with different content
RECORDS_PER_STUDENT = 250
MOST_TRIES = 4  # at one item in a row
# The mean number of records of a practice, which is an attempt with its retries or one record of another type.
RECORDS_OF_A_PRACTICE = 1.2
# The kinds of practice, with their shares in percent.
SHARES = {"attempt": 56, "use": 20, "mistake": 6, "progress": 6, "chat": 8, "lesson": 4}
# The weeks of a term in which homework is set, from 0. It is due in the week after that.
HOMEWORK_WEEKS = (2, 8)
HANDED_IN_LATE = 0.15  # share of the works that are handed in
SAID_TO_BE_LATE = 0.5  # share of the late works; the source says nothing about the other half
MORE_TIME = 0.03  # share of the works that a teacher allowed to be handed in after the date
MOST_HINTS = 3  # at one attempt
# The platform does not count the hints at the items of a point that have these numbers.
ITEMS_WITHOUT_HINTS = frozenset({10, 20, 30})
AVERAGE_GUESS = 0.15
AVERAGE_SLIP = 0.06
AVERAGE_DISCRIMINATION = 1.4
VERBS = (
    *("answered", "attempted", "passed", "failed", "scored", "completed"),
    *("experienced", "played", "paused", "enrolled", "commented", "logged-in"),
)
PLATFORM = "https://lms.school.example"
Value = dict[str, Any]


def sigmoid(logit: float) -> float:
    return 1 / (1 + exp(-logit))


@dataclass(frozen=True)
class Item:
    """An item. `point` is the point that it tests, `stated` the point that its record names."""

    id: str
    title: str
    number: int
    point: str
    stated: str
    difficulty: float
    discrimination: float
    guess: float
    slip: float

    def chance(self, level: float) -> float:
        """Return the chance of a right answer by a student of this level."""
        knows = sigmoid(self.discrimination * (level - self.difficulty))
        return self.guess + (1 - self.guess - self.slip) * knows


@dataclass
class Skill:
    """The skill of a student at one point. Without practice the level falls back towards its start."""

    start: float
    level: float
    week: int = 0

    def at(self, week: int, forgetting: float) -> float:
        """Return the level in a week. `forgetting` is the rate of a week."""
        return self.start + (self.level - self.start) * exp(-forgetting * (week - self.week))


@dataclass
class Student:
    """A student. `number` counts within the language. `left` is the week in which the student left, or None."""

    id: str
    name: str
    language: str
    number: int
    ability: float
    learning: float
    forgetting: float
    persistence: float
    diligence: float
    joined: int
    left: int | None = None
    skills: dict[str, Skill] = field(default_factory=dict)
    liking: dict[str, float] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)
    memberships: list[Value] = field(default_factory=list)

    def is_there(self, week: int) -> bool:
        return self.joined <= week and self.left is None


@dataclass
class Course:
    id: str
    name: str
    language: str
    term: int
    needs: Mapping[str, list[str]]
    items: dict[str, list[Item]]


class School:
    """A school. `records` runs its year; call `truth` after that.

    Schools with different prefixes have the same courses and items, but different people.
    """

    def __init__(
        self, students: int, seed: int, records: int | None = None, prefix: str = "syn"
    ) -> None:
        self.random = Random(seed)  # noqa: S311 - a simulation keeps no secret
        self.prefix = prefix
        self.target = records or students * RECORDS_PER_STUDENT
        plan = yaml.safe_load((files(__package__) / "synthetic_school.yaml").read_text("utf-8"))
        self.terms = plan["terms"]
        self.languages = plan["languages"]
        self.weeks = sum(term["weeks"] for term in self.terms)
        self.hard: dict[str, float] = {}  # point -> mean difficulty of its items
        self.courses: list[Course] = []
        for language, words in self.languages.items():
            self.courses += [self.course(language, given) for given in words["courses"]]
        self.students = [self.student(number) for number in range(students)]
        self.sizes = Counter(student.language for student in self.students)
        # Homework and hints, and how often each student asks for a hint.
        self.aside = Random(f"{seed} homework and hints")  # noqa: S311 - a simulation keeps no secret
        self.asks = {student.id: self.aside.uniform(0, 0.5) for student in self.students}
        self.made = 0  # records so far

    def course(self, language: str, given: Value) -> Course:
        """Return a course with its items. `given` is its part of the plan."""
        needs = given["points"]
        title = self.languages[language]["item"]
        items: dict[str, list[Item]] = {}
        for place, point in enumerate(needs, start=1):
            items[point] = []
            hard = self.hard.setdefault(point, self.random.gauss(0, 0.7))
            other_points = [each for each in needs if each != point]
            for number in range(1, ITEMS_OF_A_POINT + 1):
                other = self.random.choice(other_points)
                stated = point
                if self.random.random() < WRONG_TAGS:
                    stated = other
                item = Item(
                    id=f"{given['id']}-{place}-{number}",
                    title=title.format(point=point, number=number),
                    number=number,
                    point=point,
                    stated=stated,
                    difficulty=self.random.gauss(hard, 0.7),
                    discrimination=self.random.lognormvariate(0.35, 0.25),
                    guess=self.random.uniform(0, 2 * AVERAGE_GUESS),
                    slip=self.random.uniform(0, 2 * AVERAGE_SLIP),
                )
                items[point].append(item)
        return Course(given["id"], given["name"], language, given["term"], needs, items)

    def student(self, number: int) -> Student:
        language = list(self.languages)[number % len(self.languages)]
        words = self.languages[language]
        family = self.random.choice(words["family_names"])
        given = self.random.choice(words["given_names"])
        student = Student(
            id=f"{self.prefix}-s{number:06}",
            name=words["name"].format(family=family, given=given),
            language=language,
            number=number // len(self.languages),
            ability=self.random.gauss(0, 1.2),
            learning=self.random.lognormvariate(-2.3, 0.4),
            forgetting=self.random.lognormvariate(-3.5, 0.4),
            persistence=self.random.uniform(0.4, 0.95),
            diligence=self.random.lognormvariate(0, 0.35),
            joined=0,
        )
        if self.random.random() < LATE:
            student.joined = self.random.randrange(1, self.weeks - 4)
        for course in self.courses_of(student):
            for point, needs in course.needs.items():
                self.add_skill(student, point, needs)
        return student

    def add_skill(self, student: Student, point: str, needs: list[str]) -> None:
        """Give a student a skill at a point, which depends on the skills at the points that it needs."""
        prerequisites = [student.skills[each].start for each in needs if each in student.skills]
        if prerequisites:
            behind = sum(prerequisites) / len(prerequisites)
        else:
            behind = 0.8 * student.ability
        start = 0.5 * student.ability + 0.4 * behind + self.random.gauss(0, 0.6)
        student.skills.setdefault(point, Skill(start, start))
        student.liking.setdefault(point, self.random.lognormvariate(0, 0.8))

    def truth(self) -> Iterator[Value]:
        """Yield the mastery of each student at each practised point, at the end of the year."""
        for student in self.students:
            for point in self.practised_points(student):
                level = student.skills[point].at(self.weeks, student.forgetting)
                mastery = self.mastery(point, level)
                yield {
                    "student_id": student.id,
                    "knowledge_point": point,
                    "mastery": round(mastery, 6),
                }

    def mastery(self, point: str, level: float) -> float:
        """Return the true mastery of a point by a student of this level."""
        distance = level - self.hard[point]
        knows = sigmoid(AVERAGE_DISCRIMINATION * distance)
        return AVERAGE_GUESS + (1 - AVERAGE_GUESS - AVERAGE_SLIP) * knows

    def practised_points(self, student: Student) -> list[str]:
        """Return the points whose items the student has seen."""
        points = set()
        for course in self.courses_of(student):
            for point, items in course.items.items():
                if any(item.id in student.seen for item in items):
                    points.add(point)
        return sorted(points)

    def courses_of(self, student: Student, term: int | None = None) -> list[Course]:
        """Return the courses of a student, in one term or in all."""
        courses = [course for course in self.courses if course.language == student.language]
        if term is None:
            return courses
        return [course for course in courses if course.term == term]

    def records(self) -> Iterator[Value]:
        """Yield the records of the year, week by week. Their number is about `target`."""
        yield from self.definitions()
        week = 0
        for number, term in enumerate(self.terms, start=1):
            begins = datetime.combine(term["starts"], datetime.min.time(), UTC)
            yield from self.lessons_begin(number, begins)
            for week_of_term in range(term["weeks"]):
                monday = begins + timedelta(weeks=week_of_term)
                if week_of_term in HOMEWORK_WEEKS:
                    yield from self.homework(number, week_of_term, monday)
                if week_of_term - 1 in HOMEWORK_WEEKS:
                    yield from self.handed_in(number, week, week_of_term - 1, monday)
                yield from self.week(number, week, monday)
                week += 1

    def record(self, kind: str, at: datetime, data: Value, record_id: str | None = None) -> Value:
        """Return a record. Without `record_id` it gets a new id."""
        self.made += 1
        return record_of(kind, at, data, record_id or f"{self.prefix}-{self.made:08}")

    def definitions(self) -> Iterator[Value]:
        """Yield the terms, the texts of courses, which name the prerequisites of each point, and the items."""
        first = datetime.combine(self.terms[0]["starts"], datetime.min.time(), UTC) - timedelta(
            days=7
        )
        for term in self.terms:
            ends = term["starts"] + timedelta(weeks=term["weeks"])
            data = {"term": term["id"], "name": term["name"], "starts": term["starts"].isoformat()}
            yield self.record(
                "term_record", first, {**data, "ends": ends.isoformat(), "breaks": term["breaks"]}
            )
        for course in self.courses:
            words = self.languages[course.language]
            for point, needs in course.needs.items():
                content = words["content"].format(
                    point=point, needs="、".join(needs) or words["nothing_needed"]
                )
                data = {
                    "course_id": course.id,
                    "course_name": course.name,
                    "title": point,
                    "content": content,
                }
                yield self.record("course_content", first, data)
            for item in chain.from_iterable(course.items.values()):
                question = words["question"].format(point=item.point, number=item.number)
                data = {
                    "item_id": item.id,
                    "title": item.title,
                    "question": question,
                    "course_id": course.id,
                }
                yield self.record("item_record", first, {**data, "knowledge_points": [item.stated]})

    def homework(self, term: int, week_of_term: int, monday: datetime) -> Iterator[Value]:
        """Yield the homework of a week: of every second course for the course, of the others for each group."""
        for place, course in enumerate(self.courses):
            if course.term != term:
                continue
            item_id = homework_id(course, week_of_term)
            words = self.languages[course.language]
            task = {
                "item_id": item_id,
                "title": words["homework"].format(course=course.name, number=week_of_term + 1),
                "question": words["task"].format(course=course.name),
                "course_id": course.id,
                "max_score": 20,
                "opens_at": monday.isoformat(),
            }
            if place % 2 == 0:
                due = {"assigned_to": "course", "due_at": self.due_at(monday, 1).isoformat()}
                yield record_of("item_record", monday, {**task, **due}, f"{self.prefix}-{item_id}")
                continue
            for number in range(1, self.groups_of(course) + 1):
                due = {
                    "assigned_to": "group",
                    "group_id": self.group(course, number)["group_id"],
                    "due_at": self.due_at(monday, number).isoformat(),
                }
                record_id = f"{self.prefix}-{item_id}-{number}"
                yield record_of("item_record", monday, {**task, **due}, record_id)

    def due_at(self, monday: datetime, group: int) -> datetime:
        """Return when homework of this week is due. The groups have two days of the next week in turn."""
        return monday + timedelta(days=10 + group % 2, hours=20)

    def groups_of(self, course: Course) -> int:
        return (self.sizes[course.language] - 1) // GROUP_SIZE + 1

    def handed_in(
        self, term: int, week: int, week_of_homework: int, monday: datetime
    ) -> Iterator[Value]:
        """Yield what students hand in of the homework of the last week. `monday` is that of this week."""
        for place, course in enumerate(self.courses):
            if course.term != term:
                continue
            item_id = homework_id(course, week_of_homework)
            words = self.languages[course.language]
            for student in self.students:
                is_there = student.language == course.language and student.is_there(week)
                chance = min(0.95, 0.8 * student.diligence)
                if not is_there or self.aside.random() > chance:
                    continue
                group = 1
                if place % 2:
                    group = student.number // GROUP_SIZE + 1
                due_at = self.due_at(monday - timedelta(weeks=1), group)
                data: Value = {
                    "student_id": student.id,
                    "course_id": course.id,
                    "item_id": item_id,
                    "response": self.aside.choice(words["essays"]).format(course=course.name),
                    "hints": self.hints(student),
                }
                at = due_at - timedelta(minutes=self.aside.randrange(5_000))
                if self.aside.random() < HANDED_IN_LATE:
                    at = due_at + timedelta(minutes=self.aside.randrange(1, 1_500))
                    if self.aside.random() < SAID_TO_BE_LATE:
                        data["late"] = True
                elif self.aside.random() < MORE_TIME:
                    at = due_at + timedelta(minutes=self.aside.randrange(1, 1_500))
                    data["late"] = False
                record_id = f"{self.prefix}-{item_id}-{student.id}"
                yield record_of("attempt_record", at, data, record_id)

    def hints(self, student: Student) -> int:
        """Return how many hints a student uses at one attempt."""
        hints = 0
        while hints < MOST_HINTS and self.aside.random() < self.asks[student.id]:
            hints += 1
        return hints

    def lessons_begin(self, term: int, begins: datetime) -> Iterator[Value]:
        """Yield the memberships of the teachers who lead the groups of a term."""
        for course in self.courses:
            if course.term != term:
                continue
            words = self.languages[course.language]
            for number in range(1, self.groups_of(course) + 1):
                family = self.random.choice(words["family_names"])
                data = {"teacher_id": f"{self.prefix}-t-{course.id}-{number}", "role": "leader"}
                name = {"teacher_name": words["teacher"].format(family=family)}
                yield self.record(
                    "membership_record", begins, {**self.group(course, number), **data, **name}
                )

    def group(self, course: Course, number: int) -> Value:
        """Return the fields of a membership that describe the group."""
        term = self.terms[course.term - 1]
        name = self.languages[course.language]["group"].format(course=course.name, number=number)
        group_id = f"{self.prefix}-g-{course.id}-{number}"
        about = {
            "group_id": group_id,
            "group_name": name,
            "course_id": course.id,
            "term": term["id"],
        }
        ends = term["starts"] + timedelta(weeks=term["weeks"])
        return {**about, "starts": term["starts"].isoformat(), "ends": ends.isoformat()}

    def week(self, term: int, week: int, begins: datetime) -> Iterator[Value]:
        """Yield the records of a week: students who come and leave, and the practices of the others.

        The number of practices depends on how many records are still missing to `target`.
        """
        there = [student for student in self.students if student.is_there(week)]
        for student in there:
            yield from self.arrive(student, term, begins)
        missing = max(0, self.target - self.made)
        mean_practices = missing / (self.weeks - week) / max(1, len(there)) / RECORDS_OF_A_PRACTICE
        for student in there:
            wanted = mean_practices * student.diligence
            has_one_more = self.random.random() < wanted % 1
            practices = int(wanted) + has_one_more
            hours = [
                24 * self.random.randrange(5) + self.random.uniform(8, 20) for _ in range(practices)
            ]
            for hour in sorted(hours):
                at = (begins + timedelta(hours=hour)).replace(microsecond=0)
                for made in self.practice(student, term, week, at):
                    yield made
                    if self.random.random() < CORRECTED:
                        yield from self.correction(made)
            chance_to_leave = 0.004 * exp(-0.7 * student.ability)
            if self.random.random() < chance_to_leave:
                student.left = week
                yield from self.leave(student, begins + timedelta(days=6))

    def arrive(self, student: Student, term: int, begins: datetime) -> Iterator[Value]:
        """Yield the memberships of a student who is not in a group of this term yet."""
        term_id = self.terms[term - 1]["id"]
        if any(made["data"]["term"] == term_id for made in student.memberships):
            return
        student.memberships = []
        for course in self.courses_of(student, term):
            group = self.group(course, student.number // GROUP_SIZE + 1)
            data = {
                **group,
                "student_id": student.id,
                "student_name": student.name,
                "starts": begins.isoformat(),
            }
            student.memberships.append(self.record("membership_record", begins, data))
        yield from student.memberships

    def leave(self, student: Student, at: datetime) -> Iterator[Value]:
        """Yield the memberships of a student again, with their end."""
        for made in student.memberships:
            data = {**made["data"], "ends": at.isoformat()}
            yield self.record("membership_record", at, data, made["record_id"])

    def practice(self, student: Student, term: int, week: int, at: datetime) -> Iterator[Value]:
        """Yield the records of one practice at a random point of a random course."""
        course = self.random.choice(self.courses_of(student, term))
        points = list(course.needs)
        point = self.random.choices(points, [student.liking[each] for each in points])[0]
        kind = self.random.choices(list(SHARES), list(SHARES.values()))[0]
        if kind == "attempt":
            yield from self.attempts(student, course, point, week, at)
            return
        words = self.languages[course.language]
        of_student = {"student_id": student.id, "course_id": course.id}
        if kind == "use":
            use = self.random.choice(["video", "page", "exercise", "forum"])
            seconds = self.random.randrange(30, 2_400)
            yield self.record(
                "activity_record", at, {**of_student, "kind": use, "duration_seconds": seconds}
            )
        elif kind == "mistake":
            text = self.random.choice(words["mistakes"]).format(point=point)
            # A few types make up most mistakes, so that their nodes are hubs.
            error_types = words["error_types"]
            error_type = error_types[int(len(error_types) * self.random.random() ** 2)]
            severity = self.random.choice(["low", "medium", "high"])
            data = {"error_text": text, "error_type": error_type, "severity": severity}
            yield self.record("error_record", at, {**of_student, **data})
        elif kind == "progress":
            seen_share = len(student.seen) / (ITEMS_OF_A_POINT * len(points))
            progress = round(100 * min(1.0, seen_share), 1)
            data = {
                "course_name": course.name,
                "progress": progress,
                "time_spent": self.random.randrange(10, 300),
            }
            yield self.record(
                "course_record", at, {**of_student, "student_name": student.name, **data}
            )
        elif kind == "chat":
            yield self.chat(student, course, point, at)
        else:
            teacher = f"{self.prefix}-t-{course.id}-{student.number // GROUP_SIZE + 1}"
            text = self.random.choice(words["lessons"]).format(point=point)
            yield self.record(
                "teacher_interaction", at, {**of_student, "teacher_id": teacher, "text": text}
            )

    def chat(self, student: Student, course: Course, point: str, at: datetime) -> Value:
        """Return a message or a like to a student of the same group."""
        words = self.languages[course.language]
        first = student.number // GROUP_SIZE * GROUP_SIZE
        members = range(first, min(first + GROUP_SIZE, self.sizes[student.language]))
        other = members[int(len(members) * self.random.random() ** 2)]
        # The languages take turns, so this is the number of the other student over all languages.
        number = other * len(self.languages) + list(self.languages).index(student.language)
        data: Value = {
            "student_id_from": student.id,
            "student_id_to": f"{self.prefix}-s{number:06}",
            "course_id": course.id,
            "interaction_type": self.random.choice(["chat", "chat", "like"]),
        }
        if data["interaction_type"] == "chat":
            data["text"] = self.random.choice(words["chats"]).format(point=point)
            data["topics"] = [self.random.choice(words["topics"])]
        return self.record("student_interaction", at, data)

    def attempts(
        self, student: Student, course: Course, point: str, week: int, at: datetime
    ) -> Iterator[Value]:
        """Yield the tries of a student at one item, until one is right or the student gives up. Each try teaches."""
        fresh = [item for item in course.items[point] if item.id not in student.seen]
        item = self.random.choice(fresh or course.items[point])
        student.seen.add(item.id)
        skill = student.skills[point]
        words = self.languages[course.language]
        for number in range(1, MOST_TRIES + 1):
            level = skill.at(week, student.forgetting)
            # A student who has just seen that an answer was wrong knows a little more about this item.
            right = self.random.random() < item.chance(level + 0.7 * (number - 1))
            effect = 1 if right else 0.6
            skill.level = level + student.learning * effect * (1 - sigmoid(level))
            skill.week = week
            value = self.random.randrange(-40, 100)
            responses = words["right"] if right else words["wrong"]
            data = {
                "student_id": student.id,
                "course_id": course.id,
                "item_id": item.id,
                "item_title": item.title,
                "correct": right,
                "attempt_number": number,
                "response": self.random.choice(responses).format(value=value),
                "duration_seconds": self.random.randrange(15, 400),
            }
            if item.number not in ITEMS_WITHOUT_HINTS:
                data["hints"] = self.hints(student)
            yield self.record("attempt_record", at + timedelta(minutes=2 * (number - 1)), data)
            if right or self.random.random() > student.persistence:
                return

    def correction(self, made: Value) -> Iterator[Value]:
        """Yield a record again with different content, as exports do when a teacher has changed something.

        The time is later, but a first attempt must stay before its retries. The outcome of attempts does not change.
        """
        data = made["data"]
        fields: dict[str, Value] = {
            "error_record": {"resolved": True},
            "course_record": {"time_spent": data.get("time_spent", 0) + 5},
            "attempt_record": {"duration_seconds": data.get("duration_seconds", 0) + 30},
        }
        kind = made["type"]
        if kind not in fields:
            return
        seconds = 1 if kind == "attempt_record" else 3_600
        later = datetime.fromisoformat(made["timestamp"]) + timedelta(seconds=seconds)
        yield self.record(kind, later, {**data, **fields[kind]}, made["record_id"])

    def statements(self, number: int) -> Iterator[Value]:
        """Yield xAPI statements of this school's students, with each of `VERBS` equally often."""
        begins = datetime.combine(self.terms[0]["starts"], datetime.min.time(), UTC)
        for place in range(number):
            verb = VERBS[place % len(VERBS)]
            student = self.random.choice(self.students)
            course = self.random.choice(self.courses_of(student))
            point = self.random.choice(list(course.items))
            item = self.random.choice(course.items[point])
            at = begins + timedelta(minutes=15 * place)
            statement = {
                "id": str(UUID(int=self.random.getrandbits(128), version=4)),
                "timestamp": at.isoformat(),
                "actor": agent(student),
                "verb": {"id": f"https://verbs.school.example/{verb}"},
                "context": {"contextActivities": {"grouping": [activity(course)]}},
            }
            yield {**statement, **self.object_and_result(verb, course, item)}

    def object_and_result(self, verb: str, course: Course, item: Item) -> Value:
        """Return the object of a statement and, for some verbs, the result."""
        if verb in {"completed", "enrolled", "logged-in"}:
            return {"object": activity(course)}
        if verb == "commented":
            words = self.languages[course.language]
            text = self.random.choice(words["chats"]).format(point=item.point)
            others = [each for each in self.students if each.language == course.language]
            return {"object": agent(self.random.choice(others)), "result": {"response": text}}
        if verb in {"experienced", "played", "paused"}:
            kind = "lesson" if verb == "experienced" else "video"
            definition = {"type": f"http://adlnet.gov/expapi/activities/{kind}"}
            spent = {"duration": f"PT{self.random.randrange(10, 900)}S"}
            return {
                "object": {"id": f"{PLATFORM}/media/{item.id}", "definition": definition},
                "result": spent,
            }
        result = {
            "score": {"scaled": round(self.random.random(), 2)},
            "response": str(self.random.randrange(100)),
        }
        asked = {
            "id": f"{PLATFORM}/items/{item.id}",
            "definition": {"name": {course.language: item.title}},
        }
        return {"object": asked, "result": result}


def record_of(kind: str, at: datetime, data: Value, record_id: str) -> Value:
    return {"type": kind, "timestamp": at.isoformat(), "record_id": record_id, "data": data}


def homework_id(course: Course, week_of_term: int) -> str:
    return f"{course.id}-homework-{week_of_term + 1}"


def agent(student: Student) -> Value:
    account = {"homePage": PLATFORM, "name": student.id}
    return {"objectType": "Agent", "name": student.name, "account": account}


def activity(course: Course) -> Value:
    definition = {
        "type": "http://adlnet.gov/expapi/activities/course",
        "name": {course.language: course.name},
    }
    return {"id": f"{PLATFORM}/courses/{course.id}", "definition": definition}
