"""Saved views: pages, questions and queries that a caller saved under a name, and lists of students.

Each caller sees only their own views.

Insights keeps them in Redis. An erasure in the importer deletes the views that name the person (docs/adr/0050).
A list of students loses the one who is erased, and keeps the others (docs/adr/0158).
"""

import re
from collections.abc import Iterable, Iterator
from datetime import timedelta
from importlib import resources
from typing import Annotated, Literal, Self, cast

import redis
from pydantic import Field, StringConstraints

from edugraph_common.contracts.contract_model import ContractModel, MessageModel
from edugraph_common.runtime.service.redis_errors import redis_errors

MOST_VIEWS = 50  # of one caller
MAX_STATE_BYTES = 4_096
_PARTS = re.compile(r"[\s|]+")  # of a value that holds several ids

_Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z-]{0,39}$")]
_Key = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z_]{0,39}$")]


class ViewState(ContractModel):
    """The content of a view: a page, a question or a general query, and its parameters as in its address.

    A view of the kind `list` with the name `students` is a list of the caller's own: its values are `course`, and the
    ids of its `students`.
    """

    kind: Literal["page", "question", "query", "list"]
    name: _Name = Field(description="of the page, question or general query; of a list `students`")
    values: dict[_Key, str | tuple[str, ...]] = Field(default={}, max_length=30)


class SavedView(MessageModel):
    """A view as Redis stores it. It may outlive an upgrade. `person` is the owner's own id in the graph."""

    name: str
    state: ViewState
    person: str | None = None

    def may_name(self) -> Iterator[str]:
        """Yield texts that may be the id of a student or a record: values and their parts, such as `Student:s1`."""
        if self.person:
            yield self.person
        for value in self._values():
            for part in (value, *_PARTS.split(value)):
                yield part
                yield part.partition(":")[2]

    def listed_in(self, course: str) -> frozenset[str] | None:
        """Return the students of a list of this course. None: the view is not a list, or is of another course."""
        students = self.state.values.get("students", ())
        is_list = self.state.kind == "list" and self.state.values.get("course") == course
        if not is_list or isinstance(students, str):
            return None
        return frozenset(students)

    def with_students(self, students: Iterable[str]) -> Self:
        """Return the same list with other students."""
        values = {**self.state.values, "students": tuple(students)}
        return self.model_copy(update={"state": self.state.model_copy(update={"values": values})})

    def words(self) -> str:
        """Return all texts that the owner wrote into the view, one on each line."""
        return "\n".join((self.name, *self._values()))

    def _values(self) -> Iterator[str]:
        for value in self.state.values.values():
            if isinstance(value, str):
                yield value
            else:
                yield from value


class SavedViews:
    """The saved views of all callers. They expire `lifetime` after their owner last read or changed the list.

    Each method raises Retryable when Redis does not answer.
    """

    def __init__(self, client: "redis.Redis", lifetime: timedelta) -> None:
        script = (
            resources.files("edugraph_common.runtime.shared_state")
            .joinpath("scripts", "save_view.lua")
            .read_text()
        )
        self._redis = client
        self._save = client.register_script(script)
        self._lifetime = lifetime

    def of(self, client_id: str) -> dict[str, SavedView]:
        """Return id -> view of a caller, in the order of the names."""
        with redis_errors():
            pipe = self._redis.pipeline()
            pipe.hgetall(_key(client_id))
            pipe.pexpire(_key(client_id), self._lifetime)
            found = cast("dict[str, str]", pipe.execute()[0])
        views = {view_id: SavedView.model_validate_json(text) for view_id, text in found.items()}
        return dict(sorted(views.items(), key=lambda each: (each[1].name, each[0])))

    def find(self, client_id: str, view_id: str) -> SavedView | None:
        """Return a view of a caller, or None if there is no such view. It does not live longer by this."""
        with redis_errors():
            text = cast("str | None", self._redis.hget(_key(client_id), view_id))
        if text is None:
            return None
        return SavedView.model_validate_json(text)

    def add(self, client_id: str, view_id: str, view: SavedView) -> bool:
        """Add a view, and return whether there was room for it."""
        return self._kept(client_id, view_id, view, MOST_VIEWS)

    def replace(self, client_id: str, view_id: str, view: SavedView) -> bool:
        """Replace a view, and return whether it existed."""
        return self._kept(client_id, view_id, view, 0)

    def delete(self, client_id: str, view_id: str) -> bool:
        """Delete a view, and return whether it existed."""
        with redis_errors():
            return bool(self._redis.hdel(_key(client_id), view_id))

    def _kept(self, client_id: str, view_id: str, view: SavedView, most: int) -> bool:
        lifetime_ms = int(self._lifetime / timedelta(milliseconds=1))
        with redis_errors():
            return bool(
                self._save([_key(client_id)], [view_id, view.model_dump_json(), most, lifetime_ms])
            )


def _key(client_id: str) -> str:
    return f"edugraph:views:{client_id}"
