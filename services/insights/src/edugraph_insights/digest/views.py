"""A digest about a saved view: the mail is about the students whom the view shows."""

from edugraph_common.runtime.shared_state.saved_views import SavedView


def group_of_view(view: SavedView | None, course: str) -> str | None:
    """Return the group that a view shows in a course. None: there is no view, or it shows no group of this course."""
    if view is None:
        return None
    values = view.state.values
    group = values.get("group")
    if values.get("course") != course or not isinstance(group, str):
        return None
    return group or None
