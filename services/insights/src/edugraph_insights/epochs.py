"""Epochs of courses: an answer that was read in an older epoch of its courses is not used any more.

The epochs are those of this process. It reads the stream of changes before it reads the graph for a question, so that
an answer is at least as new as its epochs (docs/adr/0128).
"""

import threading
from collections.abc import Callable, Sequence
from uuid import uuid4

from edugraph_common.runtime.shared_state.graph_changes import (
    ALL_COURSES,
    GraphChange,
    Position,
    Since,
)

# More courses than this begin again, so that their words take a few megabytes at most.
MOST_COURSES = 50_000


class CourseEpochs:
    """The epochs of all courses. Threads may share it.

    `since` returns the changes after a position (`GraphChanges.since`). `new_epoch` returns a text that no epoch had.
    """

    def __init__(
        self,
        since: Callable[[Position | None], Since],
        new_epoch: Callable[[], str] = lambda: uuid4().hex,
    ) -> None:
        self._since = since
        self._new_epoch = new_epoch
        self._lock = threading.Lock()
        self._position: Position | None = None
        self._everywhere = new_epoch()
        self._words: dict[str, str] = {}  # id of a course -> word of its last change

    def of(self, courses: Sequence[str]) -> tuple[str | None, ...]:
        """Return the epoch of all courses, then the last change of each course, or None if there was none since.

        Raises Retryable when Redis does not answer.
        """
        while True:
            position = self._position
            # Redis is asked without the lock: when it does not answer, no thread waits for another one.
            since = self._since(position)
            with self._lock:
                if self._position == position:
                    self._take(since)
                    words = [self._words.get(course) for course in courses]
                    return (self._everywhere, *words)

    def _take(self, since: Since) -> None:
        self._position = since.position
        if not since.is_known or len(self._words) > MOST_COURSES:
            self._begin_everywhere()
        for change in since.changes:
            self._take_change(change)

    def _take_change(self, change: GraphChange) -> None:
        if ALL_COURSES in change.courses:
            self._begin_everywhere()
            return
        for course in change.courses:
            self._words[course] = change.word

    def _begin_everywhere(self) -> None:
        self._everywhere = self._new_epoch()
        self._words.clear()
