"""The economy way of a pack: what has no answer is asked by a batch of the provider's, later and for less.

A pack goes through the stages below, one outside call at a time. What is about to be done is written into Redis
before each call, and what came of it after it, so that whoever goes on after a crash knows where it stands:

(none)      The questions that nobody else has in a batch are claimed, and what they will cost is reserved.
uploading   The file of requests is on its way. After a crash it is looked for by its name and deleted: begin anew.
creating    The batch is on its way. After a crash it is looked for by its name. If there is none, the file is
            deleted and the batch is looked for once more: one that comes into being later finds no file.
created     The batch has an id. It is looked at now and then, and cancelled with its job and after the deadline. When
            it is over its answers are kept, and counted once.
answered    The provider's files are deleted.
done        What has no answer now is asked in the normal way, once others have those that are in their batches.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import redis
import structlog
from redis.exceptions import LockError

from edugraph_analyzer import telemetry
from edugraph_analyzer.cache.single_flight import SingleFlight
from edugraph_analyzer.cache.store import AnswerStore
from edugraph_analyzer.costs import Spending, Usage, cost_of
from edugraph_analyzer.estimate import USUAL_ANSWER
from edugraph_analyzer.prompting.questions import (
    Cancelled,
    LLMResponse,
    Question,
    Resolution,
    estimated_request,
    item_ids,
    packs,
    request_of,
)
from edugraph_analyzer.settings import AnalyzerSettings
from edugraph_common.contracts.errors import Wait
from edugraph_common.contracts.findings import Kind

if TYPE_CHECKING:
    from edugraph_analyzer.llm.batches import BatchState, ProviderBatches
    from edugraph_analyzer.llm.client import LLMClient

log = structlog.get_logger()

_KEPT_SECONDS = 7 * 86_400  # as long as a job waits
_CLAIM_SECONDS = 3_600  # after the last look: a batch that nobody looks after holds up no other
_BUSY_SECONDS = 5.0
_IN_BATCH = "the provider has it in a batch"
_RARER = 20  # looks at a batch are a twentieth of its age apart
_SLACK_SECONDS = 3_600  # in which a provider must have stopped a batch that was cancelled

State = dict[str, str]


class Economy:
    """One pack of a job.

    `client` opens the client of the model; `accepted` returns those resolutions of a response, by the ids of their
    items in it, that may be kept.

    All methods raise redis.RedisError, and Wait while the provider has the pack.
    """

    def __init__(
        self,
        settings: AnalyzerSettings,
        server: "redis.Redis",
        store: AnswerStore,
        spending: Spending,
        *,
        client: "Callable[[], LLMClient]",
        accepted: Callable[[Sequence[Question], LLMResponse, Sequence[str]], list[Resolution]],
        is_cancelled: Callable[[str], bool],
        now: Callable[[], float],
        new_id: Callable[[], str],
        job_id: str,
        pack: str,
        kind: Kind,
    ) -> None:
        self._settings, self._redis, self._store, self._spending = settings, server, store, spending
        self._client, self._accepted, self._is_cancelled = client, accepted, is_cancelled
        self._now, self._new_id, self._job_id, self._kind = now, new_id, job_id, kind
        # Whatever its generation: a resumed job goes on with its batches.
        self._owner = hashlib.sha256(f"{job_id}|{pack}".encode()).hexdigest()[:32]
        self._key = f"edugraph:llm:batch:{self._owner}"
        self._by_key: dict[str, Question] = {}
        self._flight: SingleFlight | None = None

    def is_under_way(self) -> bool:
        """Say whether the provider has, or may have, something of the pack."""
        return self._read().get("stage", "done") != "done"

    def look(self) -> None:
        """Raise Wait while a batch is under way, before anything of the pack is read: that takes a while.

        A batch of a job that was cancelled, or one that takes too long, is cancelled.
        """
        state = self._read()
        if state.get("stage") == "done":
            self._wait_for_others(state)
        if state.get("stage") == "created" and (batches := self._batches(state)):
            self._looked_at(state, batches)

    def read(self, questions: Sequence[Question], flight: SingleFlight) -> None:
        """Go on with a pack until the provider has to be waited for, or nothing more is left to a batch.

        Raises Cancelled when nothing is left of the batch of a job that was cancelled.
        """
        self._flight, self._by_key = flight, {question.key: question for question in questions}
        with self._alone() as go_on:
            while (stage := (state := self._read()).get("stage", "")) != "done":
                go_on()
                if stage == "":
                    self._begin(go_on)
                    continue
                batches = self._batches(state)
                if batches is None:
                    log.warning("batch_left", reason="its key is not in the settings any more")
                    self._end(state)
                    continue
                if stage == "uploading":
                    for file in batches.uploads(state["name"], float(state["since"])):
                        batches.delete(file)
                    self._write(stage="")
                elif stage == "creating":
                    self._find(state, batches)
                elif stage == "created":
                    self._collect(state, batches)
                else:
                    for file in filter(None, [state["file"], *json.loads(state.get("files", "[]"))]):
                        batches.delete(file)
                    self._end(state)
            if self._is_cancelled(self._job_id):
                self._redis.delete(self._key)  # who resumes the job begins with what is left
                raise Cancelled
        self._wait_for_others(state)

    def _begin(self, go_on: Callable[[], None]) -> None:
        """Start a batch with what nobody has answered, nor has in a batch."""
        if self._is_cancelled(self._job_id):
            raise Cancelled
        client, kind, before = self._client(), self._kind, self._read()
        if "name" in before:  # it was never started
            self._spending.settle_batch(self._job_id, before["name"], kind, before["model"], Usage())
        access = client.batchable(kind)
        answered = self._store.kept(kind, list(self._by_key))
        mine, others = self._claimed([key for key in self._by_key if key not in answered])
        name, model = self._new_id(), self._settings.model_for(kind)
        since = before.get("since", str(self._now()))
        self._write(others=json.dumps(others), name=name, model=model, since=since)
        fitting = [
            self._by_key[key] for key in mine if self._by_key[key].tokens <= self._settings.longest_item_tokens
        ]
        made = packs(fitting, self._settings)
        requests = [request_of(kind, pack, self._settings, self._new_id) for pack in made]
        price = self._settings.price_of(model)
        tokens = sum(estimated_request(request.messages) for request in requests), USUAL_ANSWER[kind] * len(fitting)
        cost = cost_of(price, *tokens, batched=True)
        keys = json.dumps([[question.key for question in pack] for pack in made])
        if access is None or not made or not self._spending.reserve(self._job_id, name, model, price, cost):
            self._end({"name": name, "model": model, "requests": json.dumps([mine])})
            return
        lines = b"".join(
            json.dumps(
                {
                    "custom_id": f"{name}-{number}",
                    "method": "POST",
                    "url": "/v1/chat/completions",
                    "body": client.batch_body(access, request),
                },
                ensure_ascii=False,
            ).encode()
            + b"\n"
            for number, request in enumerate(requests)
        )
        kept_seconds = round(self._settings.batch_deadline_seconds) + 2 * 86_400
        asked_tokens = json.dumps([estimated_request(request.messages) for request in requests])
        state = {"name": name, "access": access.key, "requests": keys, "file": "", "began": str(self._now())}
        state["asked_tokens"] = asked_tokens
        self._write(stage="uploading", **state)
        from edugraph_analyzer.llm.batches import NotThere

        batches = client.batches(access)
        try:
            state["file"] = batches.upload(name, lines, kept_seconds)
            go_on()
            self._write(stage="creating", file=state["file"])
            state["batch"] = batches.create(state["file"], name, kept_seconds)
            go_on()
            self._write(stage="created", batch=state["batch"])
        except NotThere:
            log.warning("batch_refused", reason="the provider takes no batches in this form; asking as usual")
            self._write(stage="answered", file=state["file"], files="[]")
            return
        raise Wait(_IN_BATCH, self._settings.batch_poll_seconds)

    def _find(self, state: State, batches: "ProviderBatches") -> None:
        """Find out whether a batch was started that nobody has noted."""
        since = float(state["began"])
        batch = batches.find(state["name"], since)
        if batch is None:
            batches.delete(state["file"])
            batch = batches.find(state["name"], since)
        if batch is None:
            self._write(stage="")
        else:
            self._write(stage="created", batch=batch)

    def _collect(
        self,
        state: State,
        batches: "ProviderBatches",
    ) -> None:
        """Keep the answers of a batch that is over, and count what it cost. Doing it again changes nothing."""
        from edugraph_analyzer.llm.batches import NotThere

        files = self._looked_at(state, batches).files
        used = Counter[str]()
        # An older release has kept none.
        asked_tokens = {
            f"{state['name']}-{number}": tokens
            for number, tokens in enumerate(json.loads(state.get("asked_tokens", "[]")))
        }
        for file in files:
            try:
                answers = batches.answers(file, asked_tokens)
            except NotThere:
                continue
            for number, keys in enumerate(json.loads(state["requests"])):
                response = answers.get(f"{state['name']}-{number}")
                if response is None:
                    continue
                used.update(
                    requests=1,
                    input_tokens=response.input_tokens,
                    output_tokens=response.output_tokens,
                    cached_tokens=response.cached_tokens,
                    estimated=response.estimated,
                )
                # Of a text that was changed or erased meanwhile the answer is paid for, and is of no use.
                asked = {
                    item_id: key
                    for item_id, key in zip(item_ids(len(keys)), keys, strict=True)
                    if key in self._by_key
                }
                if asked and self._flight and not response.filtered:
                    for resolution in self._accepted(
                        [self._by_key[key] for key in asked.values()], response, list(asked)
                    ):
                        self._flight.keep(replace(resolution, batched=True))
        tokens = used["input_tokens"], used["output_tokens"], used["cached_tokens"]
        model, kind = state["model"], self._kind
        cost = cost_of(self._settings.price_of(model), *tokens, batched=True)
        usage = Usage(used["requests"], 0, 0, *tokens[:2], cost, tokens[2], estimated=used["estimated"])
        if self._spending.settle_batch(self._job_id, state["name"], kind, model, usage):
            telemetry.tokens_used(model, kind, *tokens[:2], cost)
        self._write(stage="answered", files=json.dumps(files))

    def _looked_at(self, state: State, batches: "ProviderBatches") -> "BatchState":
        """Return what became of a batch that is over, or of one that nobody can stop. Raises Wait for any other."""
        from edugraph_analyzer.llm.batches import BatchState, NotThere

        age_seconds = self._now() - float(state["began"])
        with self._redis.pipeline(transaction=False) as pipe:
            for claim in self._claims(state):
                pipe.expire(claim, _CLAIM_SECONDS)
            pipe.execute()
        try:
            found = batches.look(state["batch"])
        except NotThere:
            return BatchState(is_over=True, files=())
        late_seconds = age_seconds - self._settings.batch_deadline_seconds
        if found.is_over or late_seconds > _SLACK_SECONDS:
            return found
        if late_seconds > 0 or self._is_cancelled(self._job_id):
            batches.cancel(state["batch"])
        raise Wait(_IN_BATCH, max(self._settings.batch_poll_seconds, age_seconds / _RARER))

    def _wait_for_others(self, state: State) -> None:
        """Raise Wait while batches of others have questions of this pack, until the deadline."""
        others = json.loads(state.get("others", "[]"))
        age_seconds = self._now() - float(state.get("since", 0))
        if others and age_seconds < self._settings.batch_deadline_seconds:
            answered = self._store.kept(self._kind, others)
            left = [self._claim(key) for key in others if key not in answered]
            if left and any(self._redis.mget(left)):
                poll_seconds = self._settings.batch_poll_seconds
                raise Wait("another batch has the same questions", max(poll_seconds, age_seconds / _RARER))

    def _claimed(self, keys: Sequence[str]) -> tuple[list[str], list[str]]:
        """Return the questions that are from now on this pack's to ask in a batch, and those that are others'."""
        with self._redis.pipeline(transaction=False) as pipe:
            for key in keys:
                pipe.set(self._claim(key), self._owner, nx=True, ex=_CLAIM_SECONDS)
                pipe.get(self._claim(key))
            owners = [_text(owner) for owner in pipe.execute()[1::2]]
        mine = [key for key, owner in zip(keys, owners, strict=True) if owner == self._owner]
        return mine, [key for key in keys if key not in set(mine)]

    def _end(self, state: State) -> None:
        """Give the claims back: what has no answer now is asked in the normal way."""
        self._spending.settle_batch(self._job_id, state["name"], self._kind, state["model"], Usage())
        if claims := self._claims(state):
            owners = self._redis.mget(claims)
            own = [claim for claim, owner in zip(claims, owners, strict=True) if _text(owner) == self._owner]
            if own:
                self._redis.delete(*own)
        self._write(stage="done")

    def _batches(self, state: State) -> "ProviderBatches | None":
        """Return the files and batches of the key that a pack was sent with, or None if there is none any more."""
        client = self._client()
        return next(
            (client.batches(access) for access in client.accesses(self._kind) if access.key == state["access"]),
            None,
        )

    @contextmanager
    def _alone(self) -> Iterator[Callable[[], None]]:
        """Let one process at a time go on with a pack. What is yielded is called before and after each outside call.

        The lock of a process that died ends by itself.
        """
        seconds = 2 * (self._settings.call_timeout_seconds + self._settings.connect_timeout_seconds)
        lock = self._redis.lock(f"{self._key}:lock", timeout=seconds, thread_local=False)
        if not lock.acquire(blocking=False):
            raise Wait("another process is at this pack's batch", _BUSY_SECONDS)

        def go_on() -> None:
            try:
                lock.reacquire()
            except LockError:
                raise Wait("another process has taken this pack over", _BUSY_SECONDS) from None

        try:
            yield go_on
        finally:
            with suppress(LockError):
                lock.release()

    def _read(self) -> State:
        return {_text(name): _text(value) for name, value in self._redis.hgetall(self._key).items()}

    def _write(self, **fields: str) -> None:
        """Write some fields at once."""
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.hset(self._key, mapping=dict[Any, Any](fields))
            pipe.expire(self._key, _KEPT_SECONDS)
            pipe.execute()

    def _claim(self, key: str) -> str:
        return f"edugraph:llm:batched:{self._kind}:{key}"

    def _claims(self, state: State) -> list[str]:
        return [self._claim(key) for keys in json.loads(state["requests"]) for key in keys]


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value or "")
