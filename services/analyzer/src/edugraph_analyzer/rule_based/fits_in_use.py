"""The fits that a process uses: the newest of each course, loaded at the first mistake of the course."""

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from datetime import datetime

from edugraph_analyzer.rule_based.fitted import Fit
from edugraph_common.contracts.fits import fit_folder
from edugraph_common.contracts.messages import CourseContext
from edugraph_common.runtime.shared_state.fit_store import read_fit
from edugraph_common.runtime.shared_state.object_store import BlobMissing, Blobs

LOOKED_AT_SECONDS = 60.0  # after so long a process sees a new fit, and that rows of one went
COURSES = 32  # whose fits a process holds; one of 3,000 rows takes about 20 MB

Seen = tuple[str, datetime | None]


class FitsInUse:
    """`of` raises Retryable when the blob store does not answer. `now`: seconds that only rise."""

    def __init__(self, blobs: Blobs, now: Callable[[], float] = time.monotonic) -> None:
        self._blobs = blobs
        self._now = now
        self._held: OrderedDict[str, tuple[float, Seen | None, Fit | None]] = OrderedDict()

    def of(self, courses: Sequence[CourseContext]) -> Fit | None:
        """Return the newest fit of the first course that has one."""
        return next((fit for course in courses if (fit := self._of_course(course.course_id))), None)

    def _of_course(self, course_id: str) -> Fit | None:
        until, seen, fit = self._held.get(course_id, (0.0, None, None))
        if course_id not in self._held or until <= self._now():
            written = self._blobs.written(fit_folder(course_id))
            newest = max(
                (each for each in written.items() if each[0].endswith(".ndjson")), default=None
            )
            # A store that does not tell when a blob was written has it read again.
            if newest is None or newest != seen or newest[1] is None:
                fit = self._load(newest[0]) if newest else None
            self._held[course_id] = (self._now() + LOOKED_AT_SECONDS, newest, fit)
        self._held.move_to_end(course_id)
        if len(self._held) > COURSES:
            self._held.popitem(last=False)
        return fit

    def _load(self, key: str) -> Fit | None:
        try:
            return Fit.of(*read_fit(self._blobs, key))
        except BlobMissing:  # it was dropped since the folder was listed
            return None
