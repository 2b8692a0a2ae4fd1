"""Celery's result store in Redis. It handles a full Redis, and a chord whose last member was interrupted."""

from typing import Any

import structlog
from celery import states
from celery.backends.redis import RedisBackend
from celery.canvas import Signature
from kombu.exceptions import OperationalError
from redis.exceptions import OutOfMemoryError, RedisError

from edugraph_common.contracts.errors import Retryable
from edugraph_common.runtime.messaging.publisher import job_of
from edugraph_common.runtime.service.redis_errors import LOGIN_ERRORS
from edugraph_common.runtime.shared_state.job_store import keys_of_job

# In these states a chord's body is neither running nor done. It is not known whether its message was sent.
BODY_NOT_BEGUN: tuple[str, ...] = (states.PENDING, states.FAILURE)
log = structlog.get_logger()


class ResultStore(RedisBackend):
    """A result store with which tasks begin and wait even if Redis is full or refuses the login.

    Celery writes the state STARTED before a task. If that error were raised, each message would go back to its queue
    at each delivery, until the delivery limit makes it a dead letter. The final state of a task must be stored, so
    such an error is raised, and the reject policy holds the message while `is_full`.
    """

    app: Any  # set by Celery and missing in its stubs

    def is_full(self) -> bool:
        """Return whether Redis refuses commands that need memory. Return False if Redis does not answer."""
        try:
            # Writing an empty text at the beginning of a key changes nothing and creates no key, but a full Redis
            # refuses it like any other write.
            self.client.setrange(self.get_key_for_task("is-full"), 0, "")
        except OutOfMemoryError:
            return True
        except RedisError:
            return False
        return False

    def on_chord_part_return(
        self, request: Any, state: Any, result: Any, propagate: Any = None, **kwargs: Any
    ) -> None:
        """Count a member of a chord, and send the chord's body after the last member.

        A process may end between counting and sending. Then Celery believes that the chord is done or that another
        process sends the body, and the redelivered member sends nothing, so the body would never run. Here a member
        that was counted before sends the body itself, without the answers of the members. So a body must not need the
        answers, and it must be able to run twice, since the interrupted process may have sent it.

        Redis may also have lost the chord together with its job. Then the members cannot be counted any more, so each
        member that ends sends the body, and the body makes the job begin again.

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
        """Return whether Redis has lost the job of the chord. Return False for a chord without a job."""
        job_id = job_of(request.chord["args"])
        if not job_id:
            return False
        # Celery's client has no prefix of its own: Celery puts it before the keys that it knows.
        key = f"{self.app.conf.redis_key_prefix}{keys_of_job(job_id)[0]}"
        return not self.client.exists(key)

    def _counted_before(self, request: Any) -> bool:
        """Return whether this member and all others were counted already."""
        claim, counted, results, size = (
            self.get_key_for_group(request.group, suffix) for suffix in (".c", ".d", ".j", ".s")
        )
        with self.client.pipeline(transaction=False) as pipe:
            pipe.get(claim).sismember(counted, f"{request.id}:{request.group_index}").zcard(
                results
            ).get(size)
            state, was_counted, members, expected = pipe.execute()
        return bool(state == b"done" or (was_counted and expected and members >= int(expected)))

    def _store_result(
        self, task_id: str, result: Any, state: str, *args: Any, **kwargs: Any
    ) -> Any:
        try:
            return super()._store_result(task_id, result, state, *args, **kwargs)  # type: ignore[misc]
        except (OutOfMemoryError, *LOGIN_ERRORS):
            if state in states.READY_STATES:
                raise
            return result
