"""Celery's result store in Redis, for a Redis that may be full and for chords whose last member was interrupted."""

from typing import Any

import structlog
from celery import states
from celery.backends.redis import RedisBackend
from celery.canvas import Signature
from kombu.exceptions import OperationalError
from redis.exceptions import OutOfMemoryError, RedisError

from edugraph_common.contracts.errors import Retryable
from edugraph_common.messaging.publisher import job_of
from edugraph_common.platform.job_store import keys_of_job
from edugraph_common.platform.redis_errors import LOGIN_ERRORS

# A body in one of these states is neither running nor done; whether its message is on its way cannot be told.
BODY_NOT_BEGUN: tuple[str, ...] = (states.PENDING, states.FAILURE)
log = structlog.get_logger()


class ResultStore(RedisBackend):
    """Lets a task begin and wait although Redis, which is full or refuses the login, cannot tell anybody.

    Celery notes STARTED around a task. Without this, each message would go back to its queue as it comes, until the
    delivery limit sends it to the dead letters. What a task has ended with must be kept, and is tried again: the
    reject policy holds the message while `is_full`.
    """

    app: Any  # Celery sets it, and its stubs do not know it

    def is_full(self) -> bool:
        """Say whether Redis refuses whatever needs memory. A Redis that does not answer is not known to be full."""
        try:
            # To write nothing at the beginning of a key changes nothing and makes no key, but a full Redis refuses it
            # like any other write.
            self.client.setrange(self.get_key_for_task("is-full"), 0, "")
        except OutOfMemoryError:
            return True
        except RedisError:
            return False
        return False

    def on_chord_part_return(
        self, request: Any, state: Any, result: Any, propagate: Any = None, **kwargs: Any
    ) -> None:
        """Count a member of a chord, and send the chord's body after the last one.

        A process may end between the two: then Celery holds the chord for done, or for another process's to send,
        and the member that comes again sends nothing. The body would never run. Here a member that was counted
        before sends the body itself, without the answers of the members: a body must not need them, and must bear to
        run twice, since the one that was interrupted may have sent it after all.

        Redis may also have lost the chord, together with its job. Then each member that ends sends the body, since
        nobody can count them any more: the body makes the job begin again.

        Raises OperationalError if the broker is away, so that the member goes back to its queue.
        """
        if not self._counted_before(request):
            super().on_chord_part_return(request, state, result, propagate, **kwargs)
            if not self._has_lost_job(request):
                return
        body = Signature.from_dict(request.chord, app=self.app)
        if self.get_state(str(body.id)) in BODY_NOT_BEGUN:
            log.warning("chord_body_sent_again", task=body.task, task_id=body.id)
            try:
                body.clone(args=([],)).apply_async()
            except Retryable as away:
                raise OperationalError(away.reason) from None

    def _has_lost_job(self, request: Any) -> bool:
        """Say whether Redis does not know the job that the chord belongs to. A chord without a job has lost none."""
        job_id = job_of(request.chord["args"])
        return bool(job_id) and not self.client.exists(keys_of_job(job_id)[0])

    def _counted_before(self, request: Any) -> bool:
        """Say whether this member was counted already and all the others were, too."""
        claim, counted, results, size = (
            self.get_key_for_group(request.group, suffix) for suffix in (".c", ".d", ".j", ".s")
        )
        with self.client.pipeline(transaction=False) as pipe:
            pipe.get(claim).sismember(counted, f"{request.id}:{request.group_index}").zcard(results).get(size)
            state, was_counted, members, expected = pipe.execute()
        return bool(state == b"done" or (was_counted and expected and members >= int(expected)))

    def _store_result(self, task_id: str, result: Any, state: str, *args: Any, **kwargs: Any) -> Any:
        try:
            return super()._store_result(task_id, result, state, *args, **kwargs)  # type: ignore[misc]
        except (OutOfMemoryError, *LOGIN_ERRORS):
            if state in states.READY_STATES:
                raise
            return result
