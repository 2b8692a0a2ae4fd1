"""The budget of live texts: how many of them are analysed, and when each may be.

The importer takes from the number of the day when it asks for the analysis of a batch. The analyzer gives each pack
a turn, so that the texts of a source take only their share of the model provider's limit
(docs/adr/0131-live-texts-have-a-number-a-day.md).
"""

from datetime import datetime
from typing import cast

import redis

from edugraph_common.contracts.live_days import source_of_live_job
from edugraph_common.contracts.messages import Analysis, LiveTexts
from edugraph_common.runtime.service.redis_errors import redis_errors
from edugraph_common.runtime.shared_state.job_store import WITHDRAWN_SECONDS, load_script

# A message may wait until the deadline of its job, and must then get the same answer.
KEPT_SECONDS = WITHDRAWN_SECONDS
_MS = 1_000


class LiveTextNumbers:
    """The numbers of a day. Methods raise Retryable when Redis does not answer."""

    def __init__(self, client: "redis.Redis") -> None:
        self._take = load_script(client, "take_live_texts")

    def take(self, source: str, texts: LiveTexts, acceptance: int, wanted: int) -> int:
        """Return how many of the `wanted` texts of a batch are analysed.

        A batch that comes again has the same number.
        """
        key = f"edugraph:live-texts:{source}:{texts.day.isoformat()}"
        with redis_errors():
            return cast("int", self._take([key], [acceptance, wanted, texts.most, KEPT_SECONDS]))


class LiveTurns:
    """The turns of packs of live texts at the model. Methods raise Retryable when Redis does not answer."""

    def __init__(self, client: "redis.Redis") -> None:
        self._redis = client
        self._take = load_script(client, "take_live_turn")

    def wait_seconds(
        self, pack: Analysis, now: datetime, occupied_seconds: float, latest: datetime | None
    ) -> float | None:
        """Return the time until the turn of a pack, or 0 if it begins now. The next one is `occupied_seconds` later.

        A pack that has begun may go on whenever it comes again. Packs whose turns have passed do not begin together.
        Return None if the pack would have to wait for a turn after `latest`. It gets no turn then, so the packs that
        come later do not wait for it.
        """
        latest_ms = ""
        if latest is not None:
            latest_ms = str(round(latest.timestamp() * _MS))
        arguments: list[str | int] = [
            _name(pack),
            round(now.timestamp() * _MS),
            round(occupied_seconds * _MS),
            latest_ms,
            KEPT_SECONDS * _MS,
        ]
        with redis_errors():
            wait_ms = cast("int", self._take(_keys(pack), arguments))
        if wait_ms < 0:
            return None
        return wait_ms / _MS

    def end(self, pack: Analysis) -> None:
        """Forget the turn of a pack that has ended."""
        with redis_errors():
            pipe = self._redis.pipeline()
            for key in _keys(pack):
                pipe.zrem(key, _name(pack))
            pipe.execute()


def _keys(pack: Analysis) -> list[str]:
    waiting = f"edugraph:live-turns:{source_of_live_job(pack.job_id)}"
    return [waiting, f"{waiting}:begun"]


def _name(pack: Analysis) -> str:
    return f"{pack.job_id}/{pack.pack}"
