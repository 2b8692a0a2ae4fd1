"""The window of a job's analysis: the packs that are in the queue, and the packs that still have to be published.

The importer fills it, and the importer and the analyzer take from it.

A pack that ends makes room for the next one (docs/adr/0025-analysis-window.md). The waiting packs are kept in Redis
as requests for whole batches, about 400 bytes each. If Redis loses them, the job begins again from the message that
is stored beside its file.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, NamedTuple, cast

import redis

from edugraph_common.contracts.messages import Analysis, AnalysisBatch
from edugraph_common.runtime.service.redis_errors import redis_errors
from edugraph_common.runtime.shared_state.job_store import keys_of_job, load_script

START = "start"  # stands in place of a pack for the message that begins to publish packs

WhyNot = Literal["unknown", "cancelled", "stale"]
_FIELDS_OF_A_PACK = 4


class Taken(NamedTuple):
    """Packs that were taken. `state` is that of the job: "open", or the reason why there are none.

    The caller must send each pack and call `sent` for it.
    """

    state: Literal["open"] | WhyNot
    packs: list[Analysis]


class Texts(NamedTuple):
    """The state of a job's course texts. Times are in seconds since 1970.

    - `published`: whether any course text was published.
    - `open_since`: when the oldest text was published whose findings are not in the graph yet, or None.
    - `read_since`: when the job was made, if it is an import with batches that may still ask for course texts.
    """

    published: bool
    open_since: float | None
    read_since: float | None


class AnalysisWindows:
    """The windows of all jobs. Methods raise Retryable when Redis does not answer, and RedisFull without room."""

    def __init__(self, client: "redis.Redis") -> None:
        self._redis = client
        self._ask = load_script(client, "keys_of_job", "ask_analysis")
        self._take = load_script(client, "keys_of_job", "take_packs")
        self._mark_sent = load_script(client, "mark_packs_sent")
        self._mark_texts = load_script(client, "keys_of_job", "mark_texts")

    def ask(
        self, requests: Sequence[AnalysisBatch], by: str
    ) -> Literal["start", "waiting"] | WhyNot:
        """Append requests of one job to its waiting requests. Requests for course texts go before the others.

        The requests must have `rows`. After "start" the caller must send an AnalysisWindow and then call `sent` with
        START. `by` names the caller. Repeating the call is safe.
        """
        first = requests[0]
        arguments = [
            _script_argument(first.generation),
            by,
            *(request.model_dump_json() for request in requests),
        ]
        with redis_errors():
            return cast(
                "Literal['start', 'waiting'] | WhyNot",
                self._ask(keys_of_job(first.job_id), arguments),
            )

    def take(
        self,
        job_id: str,
        generation: int | None,
        by: str,
        now: datetime,
        *,
        most: int,
        pack_records: int,
    ) -> Taken:
        """Return the packs for which there is room, now that `by` (a pack or START) has left the queue.

        The queue has at most `most` packs of course texts, and as many packs of other kinds. `pack_records` is the
        size of a pack for requests that do not state it. A pack is returned again to the same `by` until `sent` was
        called for it.
        """
        arguments = [_script_argument(generation), by, most, pack_records, now.timestamp()]
        with redis_errors():
            answer = cast("list[str]", self._take(keys_of_job(job_id), arguments))
        state, *values = answer
        packs = []
        for start in range(0, len(values), _FIELDS_OF_A_PACK):
            name, first, count, request = values[start : start + _FIELDS_OF_A_PACK]
            packs.append(
                pack_of(AnalysisBatch.model_validate_json(request), name, int(first), int(count))
            )
        return Taken(cast("Literal['open'] | WhyNot", state), packs)

    def sent(self, job_id: str, by: str, pack: str) -> None:
        """Note that the pack (or START) that `by` claimed is in the queue, so that nobody sends it again."""
        with redis_errors():
            self._mark_sent([keys_of_job(job_id)[-1]], [by, pack])

    def texts_sent(self, job_id: str, packs: Sequence[str], now: datetime) -> None:
        """Note packs of course texts that are about to be sent outside the window, since they hold their records."""
        with redis_errors():
            self._mark_texts(keys_of_job(job_id), [now.timestamp(), *packs])

    def texts(self, job_id: str) -> Texts:
        """Return the state of a job's course texts, which are read before its mistakes."""
        job = keys_of_job(job_id)[0]
        names = ("texts", "imported", "batches", "batches_done", "created")
        with redis_errors():
            known = cast("list[str | None]", self._redis.hmget(job, names))
            published, imported, batches, done, created = known
            fields: dict[str, str] = {}
            if published:
                fields = cast("dict[str, str]", self._redis.hgetall(job))
        publication_times = []
        for name, value in fields.items():
            if name.startswith("text:"):
                publication_times.append(float(value))

        # A batch asks for its texts first, then for its mistakes, and is done after both. If a job has a single batch
        # and somebody looks at its mistakes, the batch has asked for its texts.
        batches_that_asked = max(int(done or 0), 1)
        is_reading = imported != "1" and int(batches or 0) > batches_that_asked
        read_since = None
        if is_reading and created:
            read_since = datetime.fromisoformat(created).timestamp()
        return Texts(bool(published), min(publication_times, default=None), read_since)


def pack_of(request: AnalysisBatch, name: str, first: int, count: int) -> Analysis:
    """Return the message for one pack of a request with `rows`."""
    same = (
        "job_id",
        "traceparent",
        "deadline",
        "kind",
        "rows",
        "contexts",
        "accepted_at",
        "acceptance",
        "contexts_key",
        "generation",
        "left_out",
        "economy",
        "again",
    )
    return Analysis(
        pack=name, first=first, count=count, **{field: getattr(request, field) for field in same}
    )


def _script_argument(generation: int | None) -> str | int:
    """Return a generation as the scripts expect it: empty if the generation is unknown."""
    if generation is None:
        return ""
    return generation
