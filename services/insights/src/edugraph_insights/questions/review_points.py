"""A question for subject teachers: which points may be the same, and which prerequisites are to be decided?"""

import re
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Annotated

from pydantic import Field

from edugraph_insights.answers import Found, Mark, Measured, Row
from edugraph_insights.facts import Facts, Need, Use
from edugraph_insights.graph import Row as GraphRow
from edugraph_insights.practice import PointTries
from edugraph_insights.questions.alike import alike_sentences
from edugraph_insights.questions.question import OfSeveral, OfToday, Question
from edugraph_insights.reviewing import key_of

# Names may come from the mistakes of students, so the question is only for callers who may see persons.
Text = Annotated[str, Mark.PERSONAL]
Texts = Annotated[tuple[str, ...], Mark.PERSONAL]
Number = Annotated[int, Mark.PERSONAL]
NO_ENCODER = "points that were not compared: the analyzer has no encoder (its extra `offline`)"
HAN = re.compile(r"[\u3400-\u9fff]")  # a Chinese name has such a letter
# The property `same` of JUDGED, or `accepted` of JUDGED_NEED -> the verdict.
_VERDICT_OF_PAIR: Mapping[bool | None, str | None] = {None: None, True: "same", False: "different"}
_VERDICT_OF_NEED: Mapping[bool | None, str | None] = {
    None: None,
    True: "accepted",
    False: "rejected",
}
Needs = Mapping[str, list[Need]]  # point -> its direct prerequisites


class Points(OfSeveral, OfToday):
    """Parameters of the question: a course or a group, and a limit."""

    limit: int = Field(
        default=500, ge=1, le=5_000, description="the largest number of rows, the most alike first"
    )


class PointsToReview(Row):
    """Two points to review. `kind` is same (they may be synonyms), misconception, excluded, proposed or followed.

    In a row of the kind misconception both are sentences about what went wrong in mistakes at one point. `records`
    and `other_records` count these mistakes, and the other fields are those of the kind same.

    The last three are prerequisites, and have the same fields. An excluded one was set aside, or people decided about
    it. A proposed one is said by too few texts, so it is not followed before somebody accepts it. A followed one is
    said by two texts, and nobody decided about it. `students` counts the students on whose way it lies, or would lie:
    they have not mastered a point of the course that is `point` or needs it, directly or through others.

    `records` and `other_records` count the texts, items, definitions and mistakes that name each point by this name.

    In a row of the kind same, `likeness` is the cosine of the names, and `verdict` is same or different. `skipped` is
    true if another verdict keeps the two apart. `cycles` are the ways along prerequisites that a merge would close.

    `quotes` are the words of texts that say a prerequisite. A text that implies it has none.

    In a row of the kind excluded, `claimed_by` names the texts that claim the prerequisite, `confidence` is the
    confidence of the strongest claim, `verdict` is accepted or rejected, and `cycles` has the way that excludes the
    prerequisite. `gives_way` is the step of this way, as a point and its prerequisite, that is set aside instead if
    this one is accepted. It is empty if people accepted all steps of the way. Then this prerequisite stays set aside
    even if it is accepted, and `skipped` is true.
    """

    key: Text
    kind: Text
    point: Text
    name: Text
    other: Text
    other_name: Text
    courses: Texts = ()
    other_courses: Texts = ()
    records: Number = 0
    other_records: Number = 0
    likeness: Annotated[float | None, Mark.PERSONAL] = None
    verdict: Annotated[str | None, Mark.PERSONAL] = None
    skipped: Annotated[bool, Mark.PERSONAL] = False
    confidence: Annotated[float | None, Mark.PERSONAL] = None
    claimed_by: Texts = ()
    quotes: Texts = ()
    cycles: Annotated[tuple[tuple[str, ...], ...], Mark.PERSONAL] = ()
    gives_way: Texts = ()
    students: Annotated[int | None, Mark.PERSONAL] = None


def find(facts: Facts, asked: Points) -> Found[PointsToReview]:
    practice = facts.practice(asked.course)
    mine = _points_of(facts, asked.course, practice.tries)
    proposed = [row for row in facts.proposed_same(mine) if _is_open_or_judged(row)]
    excluded = [
        row
        for row in facts.prerequisites_to_review(mine)
        if row["canonical"] != row["needs_canonical"]
    ]
    ids: set[str] = set()
    for row in proposed:
        ids |= {row["one"], row["other"]}
    uses = facts.uses(asked.course, ids)
    # A name that only other students used is not shown.
    shown = []
    for row in proposed:
        ends_in_use = _is_in_use(uses[row["one"]]) and _is_in_use(uses[row["other"]])
        if ends_in_use:
            shown.append(row)
    ends = {row["needs_canonical"] for row in excluded}
    for row in shown:
        ends |= {row["one_canonical"], row["other_canonical"]}
    not_mastered = practice.not_mastered()
    needs, is_all = facts.needs_around(ends | not_mastered.keys())
    on_ways = students_on_ways(not_mastered, needs)
    same = list(_same(shown, uses, needs))
    worth_a_look = [row for row in same if not _is_neighbour(row)]
    alike = list(_misconceptions(facts, asked.course))
    rows = [*worth_a_look, *alike, *_prerequisites(facts, excluded, needs, on_ways)]
    rows.sort(key=order)
    judged = [row for row in rows if row.verdict is not None]
    compared, encoder = facts.comparison() or (0, "")
    return Found(
        tuple(Measured(row, frozenset()) for row in rows[: asked.limit]),
        of_how_many={
            "points of the course": len(mine),
            "points compared": compared if encoder else 0,
            "to review": len(rows),
            "judged of them": len(judged),
        },
        left_out={
            NO_ENCODER: compared if encoder is None else 0,
            "pairs in one language of which one needs the other": len(same) - len(worth_a_look),
            "more to review: raise `limit`": len(rows[asked.limit :]),
            "ways along prerequisites that are longer than was looked": 0 if is_all else 1,
        },
    )


def _points_of(facts: Facts, course: str, tries: PointTries) -> set[str]:
    """Return the points that the course teaches, that its items test, or that mistakes in it concern."""
    points = set(facts.points_of(course))
    for point in tries.tried_points():
        points.add(point.id)
    for mistake in facts.mistakes(course):
        if mistake["point"] is not None:
            points.add(mistake["point"])
    return points


def _is_in_use(use: Use) -> bool:
    return bool(use.records or use.courses)


def _is_open_or_judged(row: GraphRow) -> bool:
    """Return whether a pair can be decided or has a verdict. Names that are synonyms through others need neither."""
    return row["same"] is not None or row["one_canonical"] != row["other_canonical"]


def _is_neighbour(row: PointsToReview) -> bool:
    """Return whether a pair without a verdict is in one language and one point needs the other: then they differ."""
    one_needs_the_other = bool(row.cycles)
    is_in_one_language = bool(HAN.search(row.name)) == bool(HAN.search(row.other_name))
    return row.verdict is None and one_needs_the_other and is_in_one_language


def _same(rows: list[GraphRow], uses: Mapping[str, Use], needs: Needs) -> Iterator[PointsToReview]:
    for row in rows:
        # A row begins at a point of the course, so the larger id may come first.
        ends = sorted(
            (row[end], row[f"{end}_name"], row[f"{end}_canonical"]) for end in ("one", "other")
        )
        (point, name, canonical), (other, other_name, other_canonical) = ends
        names = {canonical: name, other_canonical: other_name}
        cycles = []
        for begin, end in sorted({(canonical, other_canonical), (other_canonical, canonical)}):
            way = shortest_way(needs, begin, end)
            if way:
                cycles.append((names[begin], *(step.needs.name for step in way)))
        yield PointsToReview(
            key=key_of("pair", point, other),
            kind="same",
            point=point,
            name=name,
            other=other,
            other_name=other_name,
            courses=uses[point].courses,
            other_courses=uses[other].courses,
            records=uses[point].records,
            other_records=uses[other].records,
            likeness=row["likeness"],
            verdict=_VERDICT_OF_PAIR[row["same"]],
            skipped=bool(row["skipped"]),
            cycles=tuple(cycles),
        )


def _misconceptions(facts: Facts, course: str) -> Iterator[PointsToReview]:
    """Yield the pairs of sentences about what went wrong that may be the same."""
    for pair in alike_sentences(facts, course):
        fields = pair._asdict()
        verdict = _VERDICT_OF_PAIR[fields.pop("same")]
        key = key_of("misconception", pair.point, pair.other)
        yield PointsToReview(key=key, kind="misconception", verdict=verdict, **fields)


def students_on_ways(
    not_mastered: Mapping[str, AbstractSet[str]], needs: Needs
) -> dict[str, set[str]]:
    """Return point -> the students who have not mastered it, or a point that needs it directly or through others."""
    on_ways: dict[str, set[str]] = defaultdict(set)
    for begin, students in not_mastered.items():
        reached = {begin}
        ahead = [begin]
        while ahead:
            for step in needs.get(ahead.pop(), ()):
                if step.needs.id not in reached:
                    reached.add(step.needs.id)
                    ahead.append(step.needs.id)
        for point in reached:
            on_ways[point] |= students
    return on_ways


def _kind_of(row: GraphRow) -> str:
    if row["accepted"] is None and row["reason"] == "proposed":
        return "proposed"
    if row["accepted"] is None and not row["excluded"]:
        return "followed"
    return "excluded"


def _prerequisites(
    facts: Facts,
    rows: list[GraphRow],
    needs: Needs,
    on_ways: Mapping[str, AbstractSet[str]],
) -> Iterator[PointsToReview]:
    claims = facts.claims(row["point"] for row in rows)
    accepted: AbstractSet[tuple[str, str]] = frozenset()
    if rows:
        accepted = facts.accepted_needs(needs)
    settled = facts.are_claims_settled()
    for row in rows:
        claimed = claims.get((row["point"], row["needs"]), ())
        way: list[Need] = []
        if row["excluded"]:
            way = shortest_way(needs, row["needs_canonical"], row["canonical"])
        cycles: tuple[tuple[str, ...], ...] = ()
        if way:
            cycles = ((row["needs_name"], *(step.needs.name for step in way)),)
        yield PointsToReview(
            key=key_of("excluded", row["point"], row["needs"]),
            kind=_kind_of(row),
            point=row["point"],
            name=row["name"],
            other=row["needs"],
            other_name=row["needs_name"],
            verdict=_VERDICT_OF_NEED[row["accepted"]],
            skipped=bool(row["accepted"] and row["excluded"] and settled),
            confidence=max((claim.confidence for claim in claimed), default=row["confidence"]),
            claimed_by=tuple(claim.title for claim in claimed),
            quotes=tuple(dict.fromkeys(claim.quote for claim in claimed if claim.quote)),
            cycles=cycles,
            gives_way=_step_that_gives_way(row, way, accepted),
            students=len(on_ways.get(row["canonical"], ())),
        )


def _step_that_gives_way(
    row: GraphRow, way: Sequence[Need], accepted: AbstractSet[tuple[str, str]]
) -> tuple[str, ...]:
    """Return the names of the step's ends, or nothing if people accepted all steps of the way.

    The importer adds the surest prerequisites first, so the least sure step of the way would close the circle.
    """
    names = {row["needs_canonical"]: row["needs_name"]}
    names |= {step.needs.id: step.needs.name for step in way}
    steps = [step for step in way if (step.point, step.needs.id) not in accepted]
    if not steps:
        return ()
    last = max(steps, key=lambda step: (-step.confidence, step.point, step.needs.id))
    return names[last.point], names[last.needs.id]


def shortest_way(needs: Needs, begin: str, end: str) -> list[Need]:
    """Return the steps of a shortest way along prerequisites, or no steps. A way from a point to itself has steps."""
    came_by: dict[str, Need] = {}  # point -> the step that reached it first
    ahead = deque([begin])
    while ahead and end not in came_by:
        for step in sorted(needs.get(ahead.popleft(), ())):
            point = step.needs.id
            leads_back = point == begin and begin != end
            if point not in came_by and not leads_back:
                came_by[point] = step
                ahead.append(point)
    if end not in came_by:
        return []
    way = [came_by[end]]
    while way[0].point != begin:
        way.insert(0, came_by[way[0].point])
    return way


def order(row: PointsToReview) -> tuple[int, int, float, str]:
    """Sort pairs first, the most alike before others, then prerequisites, those on most ways first."""
    if row.kind in ("same", "misconception"):
        return 0, 0, -(row.likeness or 0.0), row.key
    return 1, -(row.students or 0), -(row.confidence or 0.0), row.key


QUESTION = Question(
    name="review-points",
    title="Which points may mean the same, and which prerequisites are to be decided?",
    computed_by="Pairs of points whose names are nearest to each other by a sentence encoder, with a cosine of 0.5 "
    "or more, and of which one is of the course. Pairs of sentences about what went wrong in mistakes "
    "at one point, if 70 % of their pairs of neighbouring characters are the same. A merge would close "
    "the shortest way along prerequisites from each of the two to the other; where both names are in "
    "one language, such a pair is not shown. A prerequisite is set aside if stronger claims lead from "
    "what it needs back to it, or if people rejected it; what people accepted comes before all claims, "
    "in the order in which they said so. It is proposed if fewer than two texts say it in words that "
    "are quoted, and neither the school's own points nor a reviewer does. Prerequisites on the ways of "
    "most students come first: of those who have not mastered the point, or a point that needs it, "
    "directly or through others.",
    parameters=Points,
    row=PointsToReview,
    find=find,
    order=order,
    quotes=True,
)
