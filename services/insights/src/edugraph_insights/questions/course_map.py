"""The map of a course: which points does it have, and what does each of them need first?"""

from typing import ClassVar

from edugraph_insights.answers import Found, FromCatalogue, Measured, Name, Row
from edugraph_insights.facts import Facts
from edugraph_insights.questions.question import OfToday, Question


class PlaceOnMap(Row):
    """A point and one of its direct prerequisites. A point without prerequisites has one row with empty `needs`.

    `state` is followed or proposed. A proposed prerequisite is said by too few texts: no question follows it until
    somebody accepts it. `state` is empty if `needs` is.
    """

    identity: ClassVar[tuple[str, ...]] = ("point", "needs")

    point: Name
    name: Name
    needs: Name = ""
    needs_name: Name = ""
    confidence: FromCatalogue = None
    state: Name = ""


def find(facts: Facts, asked: OfToday) -> Found[PlaceOnMap]:
    tries = facts.point_tries(asked.course)
    taught = facts.taught_points(asked.course)
    names: dict[str, str] = {}
    students: dict[str, frozenset[str]] = {}
    for point in tries.tried_points():
        names[point.id] = point.name
        # A point that is here only because somebody tried an item of it says something about these students.
        if facts.in_cells:
            students[point.id] = frozenset(tries.ids(point.students))
    # A point that the texts of the course teach says nothing about students.
    for taught_point in taught:
        names[taught_point.id] = taught_point.name
        students[taught_point.id] = frozenset()
    rows: list[PlaceOnMap] = []
    of_state = {"followed": facts.direct_needs(names), "proposed": facts.proposed_needs(names)}
    for state, needs in of_state.items():
        for need in needs:
            row = PlaceOnMap(
                point=need.point,
                name=names[need.point],
                needs=need.needs.id,
                needs_name=need.needs.name,
                confidence=need.confidence,
                state=state,
            )
            rows.append(row)
    alone = names.keys() - {row.point for row in rows}
    rows += [PlaceOnMap(point=point, name=names[point]) for point in alone]
    return Found(
        tuple(Measured(row, students.get(row.point, frozenset())) for row in rows),
        of_how_many={"points that the course teaches": len(taught)},
        left_out=facts.waiting_in(asked.course),
    )


QUESTION = Question(
    name="course-map",
    title="Which points does this course have, and what does each need first?",
    computed_by="The points that the texts of the course teach or that its items test, and for each what the texts "
    "of all courses say that it needs first. The confidence is what the analyser states, and is not calibrated. "
    "What two texts, the school's own points or a reviewer say is followed; what fewer texts say is proposed, and no "
    "other question follows it.",
    parameters=OfToday,
    row=PlaceOnMap,
    find=find,
    order=lambda row: (row.point, row.needs),
    from_columns=True,
)
