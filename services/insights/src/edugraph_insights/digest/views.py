"""A digest about a saved view or a list: the mail is about the students whom it shows."""

from typing import NamedTuple

from edugraph_common.runtime.shared_state.saved_views import SavedView


class Part(NamedTuple):
    """The part of a course that a mail is about: a group, or the students of a list. Both None: the whole course."""

    group: str | None = None
    students: frozenset[str] | None = None


def part_of_view(view: SavedView | None, course: str) -> Part | None:
    """Return the students whom a view shows in a course.

    None: there is no view, or it shows neither a group nor a list of this course.
    """
    if view is None:
        return None
    if view.state.kind == "list":
        listed = view.listed_in(course)
        if not listed:
            return None
        return Part(students=listed)
    values = view.state.values
    group = values.get("group")
    # A page with a list shows fewer students than its group. The list itself has a mail.
    is_of_group = values.get("course") == course and isinstance(group, str) and group != ""
    if not is_of_group or values.get("list"):
        return None
    return Part(group=str(group))
