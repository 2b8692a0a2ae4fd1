"""The window of a job's analysis: which packs are in the queue, and what of the job is still to be published.

A pack that ends makes room for the next one (docs/adr/0025-analysis-window.md). What waits to be published is kept in
Redis as requests for whole batches, some 400 bytes each. If Redis loses it, the job begins again from what is stored
beside its file.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, NamedTuple, cast

import redis

from edugraph_common.contracts.messages import Analysis, AnalysisBatch
from edugraph_common.platform.job_store import keys_of_job, load_script
from edugraph_common.platform.redis_errors import redis_errors

START = "start"  # in the place of a pack: the message that begins to publish packs

WhyNot = Literal["unknown", "cancelled", "stale"]
_FIELDS_OF_A_PACK = 4


class Taken(NamedTuple):
    """`standing`: "open", or why there are no packs. Whoever took packs sends each of them and then says `sent`."""

    standing: Literal["open"] | WhyNot
    packs: list[Analysis]


class Texts(NamedTuple):
    """Of a job: whether any course text of it was published, and since when the oldest is not in the graph yet.

    `read_since`: when the job was made, if it is an import of whose batches some may still ask for course texts.
    """

    published: bool
    open_since: float | None
    read_since: float | None


class AnalysisWindows:
    """All methods raise Retryable when Redis does not answer, and RedisFull when it has no room."""

    def __init__(self, client: "redis.Redis") -> None:
        self._redis = client
        self._ask = load_script(client, "keys_of_job", "ask_analysis")
        self._take = load_script(client, "keys_of_job", "take_packs")
        self._mark_sent = load_script(client, "mark_packs_sent")
        self._mark_texts = load_script(client, "keys_of_job", "mark_texts")

    def ask(self, requests: Sequence[AnalysisBatch], by: str) -> Literal["start", "waiting"] | WhyNot:
        """Put requests of one job, which refer to their rows, behind what it still has to publish; texts go first.

        After "start" the caller sends an AnalysisWindow and then says `sent` of START; `by` names the caller. Asking
        again is harmless.
        """
        first = requests[0]
        arguments = [_said(first.generation), by, *(request.model_dump_json() for request in requests)]
        with redis_errors():
            return cast("Literal['start', 'waiting'] | WhyNot", self._ask(keys_of_job(first.job_id), arguments))

    def take(
        self, job_id: str, generation: int | None, by: str, now: datetime, *, most: int, pack_records: int
    ) -> Taken:
        """Return the packs for which there is room now that `by`, a pack or START, is in the queue no more.

        At most `most` packs of course texts are there, and as many of other kinds.

        Until they are `sent` they are returned again to whoever takes as `by`.
        """
        arguments = [_said(generation), by, most, pack_records, now.timestamp()]
        with redis_errors():
            answer = cast("list[str]", self._take(keys_of_job(job_id), arguments))
        standing, *values = answer
        fields = [values[start : start + _FIELDS_OF_A_PACK] for start in range(0, len(values), _FIELDS_OF_A_PACK)]
        packs = [
            pack_of(AnalysisBatch.model_validate_json(request), name, int(first), int(count))
            for name, first, count, request in fields
        ]
        return Taken(cast("Literal['open'] | WhyNot", standing), packs)

    def sent(self, job_id: str, by: str, pack: str) -> None:
        """The pack (or START) that `by` claimed is in the queue: nobody sends it again."""
        with redis_errors():
            self._mark_sent([keys_of_job(job_id)[-1]], [by, pack])

    def texts_sent(self, job_id: str, packs: Sequence[str], now: datetime) -> None:
        """Packs of course texts, which hold their records, are about to be sent without a place in the window."""
        with redis_errors():
            self._mark_texts(keys_of_job(job_id), [now.timestamp(), *packs])

    def texts(self, job_id: str) -> Texts:
        """Say how far the course texts of a job are, which are read before its mistakes."""
        job = keys_of_job(job_id)[0]
        names = ("texts", "imported", "batches", "batches_done", "created")
        with redis_errors():
            known = cast("list[str | None]", self._redis.hmget(job, names))
            published, imported, batches, done, created = known
            fields = cast("dict[str, str]", self._redis.hgetall(job)) if published else {}
        since = [float(value) for name, value in fields.items() if name.startswith("text:")]
        # A batch asks for its texts before it is done, and before it asks for its mistakes: a single one has asked.
        reading = imported != "1" and int(batches or 0) > max(int(done or 0), 1)
        read_since = datetime.fromisoformat(created).timestamp() if reading and created else None
        return Texts(bool(published), min(since, default=None), read_since)


def pack_of(request: AnalysisBatch, name: str, first: int, count: int) -> Analysis:
    """Return the message of one pack of a request that refers to its rows."""
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
    )
    return Analysis(pack=name, first=first, count=count, **{field: getattr(request, field) for field in same})


def _said(generation: int | None) -> str | int:
    return "" if generation is None else generation
