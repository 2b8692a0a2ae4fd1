"""The economy way of a pack: its questions are sent in a batch of the provider, which answers later and costs less.

A pack goes through the stages below, one outside call at a time. Redis is written before each call with the next
action and after each call with its result, so that a process that goes on after a crash knows the stage:

(none)      The questions that no other batch has are claimed, and their cost is reserved.
uploading   The file of requests is being uploaded. After a crash it is found by its name and deleted, and the pack
            begins again.
creating    The batch is being created. After a crash it is found by its name. If there is none, the file is deleted
            and the batch is searched once more, because a batch that is created after that has no file.
created     The batch has an id. It is looked at now and then, and cancelled with its job or after the deadline. When
            it is over, its answers are stored and counted once.
answered    The provider's files are deleted.
done        Questions that still have no answer are asked in the normal way, after other batches have answered theirs.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
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

# The state of a pack is stored as long as a job may wait.
_KEPT_SECONDS = 7 * 86_400
# A claim ends this long after the last look at its batch, so that an abandoned batch does not hold up other packs.
_CLAIM_SECONDS = 3_600
# A pack that another process works on is tried again after this time.
_BUSY_SECONDS = 5.0
_IN_BATCH = "the provider has it in a batch"
# The time between two looks at an old batch is this part of its age.
_RARER = 20
# A provider has this long to stop a batch that was cancelled.
_SLACK_SECONDS = 3_600

State = dict[str, str]


class Economy:
    """Reads one pack of a job by batches of the provider.

    `client` returns the client of the model. `accepted(questions, response, item_ids)` returns the resolutions of a
    response that may be stored.

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
        self._settings = settings
        self._redis = server
        self._store = store
        self._spending = spending
        self._client = client
        self._accepted = accepted
        self._is_cancelled = is_cancelled
        self._now = now
        self._new_id = new_id
        self._job_id = job_id
        self._kind = kind
        # The generation of the job is not part of the name: a resumed job goes on with its batches.
        self._owner = hashlib.sha256(f"{job_id}|{pack}".encode()).hexdigest()[:32]
        self._key = f"edugraph:llm:batch:{self._owner}"
        self._by_key: dict[str, Question] = {}
        self._by_text: dict[str, Question] = {}
        self._flight: SingleFlight | None = None

    def is_under_way(self) -> bool:
        """Return whether the provider has, or may have, a file or batch of the pack."""
        return self._read().get("stage", "done") != "done"

    def look(self) -> None:
        """Raise Wait while a batch is under way. It is called before the pack is read, which takes long.

        A batch is cancelled if its job was cancelled or if it takes too long.
        """
        state = self._read()
        stage = state.get("stage")
        if stage == "done":
            self._wait_for_others(state)
        if stage == "created":
            batches = self._batches(state)
            if batches is not None:
                self._looked_at(state, batches)

    def read(self, questions: Sequence[Question], flight: SingleFlight) -> None:
        """Go on with a pack until the provider must be waited for, or until the batch is done.

        Raises Cancelled if the job was cancelled and nothing of its batch is left.
        """
        self._flight = flight
        self._by_key = {question.key: question for question in questions}
        self._by_text = {question.text_key: question for question in questions}
        with self._alone() as go_on:
            while True:
                state = self._read()
                if state.get("stage") == "done":
                    break
                go_on()
                self._take_step(state, go_on)
            if self._is_cancelled(self._job_id):
                # If the job is resumed, the pack begins with the questions that have no answer yet.
                self._redis.delete(self._key)
                raise Cancelled
        self._wait_for_others(state)

    def _take_step(self, state: State, go_on: Callable[[], None]) -> None:
        """Take a pack from its stage to the next one."""
        stage = state.get("stage", "")
        if stage == "":
            self._begin(go_on)
            return
        batches = self._batches(state)
        if batches is None:
            log.warning("batch_left", reason="its key is not in the settings any more")
            self._end(state)
            return
        if stage == "uploading":
            for file in batches.uploads(state["name"], float(state["since"])):
                batches.delete(file)
            self._write(stage="")
        elif stage == "creating":
            self._find(state, batches)
        elif stage == "created":
            self._collect(state, batches)
        else:
            for file in (state["file"], *json.loads(state.get("files", "[]"))):
                if file:
                    batches.delete(file)
            self._end(state)

    def _begin(self, go_on: Callable[[], None]) -> None:
        """Start a batch with the questions that have no answer and are in no other batch."""
        if self._is_cancelled(self._job_id):
            raise Cancelled
        client = self._client()
        kind = self._kind
        before = self._read()
        if "name" in before:
            # An earlier batch of this pack was never started, so its reservation is dropped.
            self._spending.settle_batch(
                self._job_id, before["name"], kind, before["model"], Usage()
            )
        access = client.batchable(kind)
        answered = self._store.kept(kind, list(self._by_key))
        mine, others = self._claimed([key for key in self._by_key if key not in answered])
        name = self._new_id()
        model = self._settings.model_for(kind)
        since = before.get("since", str(self._now()))
        self._write(others=json.dumps(others), name=name, model=model, since=since)

        questions = [self._by_key[key] for key in mine]
        fitting = [each for each in questions if each.tokens <= self._settings.longest_item_tokens]
        made = packs(fitting, self._settings)
        requests = [request_of(kind, pack, self._settings, self._new_id) for pack in made]
        request_tokens = [estimated_request(request.messages) for request in requests]
        answer_tokens = USUAL_ANSWER[kind] * len(fitting)
        price = self._settings.price_of(model)
        cost = cost_of(price, sum(request_tokens), answer_tokens, batched=True)
        if (
            access is None
            or not made
            or not self._spending.reserve(self._job_id, name, model, price, cost)
        ):
            self._end({"name": name, "model": model, "requests": json.dumps([mine])})
            return

        keys_by_request = []
        # The points that a question shows may be others when its answer comes, and its ids mean those of today.
        points_by_key = {}
        text_keys = {}
        for pack in made:
            keys_by_request.append([question.key for question in pack])
            points_by_key.update({question.key: question.points for question in pack})
            text_keys.update({question.key: question.text_key for question in pack})
        lines = []
        for number, request in enumerate(requests):
            line = {
                "custom_id": f"{name}-{number}",
                "method": "POST",
                "url": "/v1/chat/completions",
                "body": client.batch_body(access, request),
            }
            lines.append(json.dumps(line, ensure_ascii=False).encode() + b"\n")
        kept_seconds = round(self._settings.batch_deadline_seconds) + 2 * 86_400
        state = {
            "name": name,
            "access": access.key,
            "requests": json.dumps(keys_by_request),
            "points": json.dumps(points_by_key, ensure_ascii=False),
            "texts": json.dumps(text_keys),
            "file": "",
            "began": str(self._now()),
            "asked_tokens": json.dumps(request_tokens),
        }
        self._write(stage="uploading", **state)
        from edugraph_analyzer.llm.batches import NotThere

        batches = client.batches(access)
        try:
            state["file"] = batches.upload(name, b"".join(lines), kept_seconds)
            go_on()
            self._write(stage="creating", file=state["file"])
            state["batch"] = batches.create(state["file"], name, kept_seconds)
            go_on()
            self._write(stage="created", batch=state["batch"])
        except NotThere:
            log.warning(
                "batch_refused",
                reason="the provider takes no batches in this form; asking as usual",
            )
            self._write(stage="answered", file=state["file"], files="[]")
            return
        raise Wait(_IN_BATCH, self._settings.batch_poll_seconds)

    def _find(self, state: State, batches: "ProviderBatches") -> None:
        """Find out whether a batch was created before a crash, and write the next stage."""
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
        """Store the answers of a batch that is over, and count its cost. Doing so again changes nothing."""
        from edugraph_analyzer.llm.batches import NotThere

        files = self._looked_at(state, batches).files
        # A batch that an earlier release sent has no list, because its questions showed no ids.
        points_by_key = json.loads(state.get("points", "{}"))
        text_keys = json.loads(state.get("texts", "{}"))
        used = Counter[str]()
        # name of the request -> its estimated tokens.
        asked_tokens = {}
        for number, tokens in enumerate(json.loads(state["asked_tokens"])):
            asked_tokens[f"{state['name']}-{number}"] = tokens
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
                self._keep_answers(keys, response, points_by_key, text_keys)
        model = state["model"]
        price = self._settings.price_of(model)
        usage = Usage(
            requests=used["requests"],
            input_tokens=used["input_tokens"],
            output_tokens=used["output_tokens"],
            cached_tokens=used["cached_tokens"],
            cost=cost_of(
                price,
                used["input_tokens"],
                used["output_tokens"],
                used["cached_tokens"],
                batched=True,
            ),
            estimated=used["estimated"],
        )
        if self._spending.settle_batch(self._job_id, state["name"], self._kind, model, usage):
            telemetry.tokens_used(
                model, self._kind, usage.input_tokens, usage.output_tokens, usage.cost
            )
        self._write(stage="answered", files=json.dumps(files))

    def _keep_answers(
        self,
        keys: Sequence[str],
        response: LLMResponse,
        points_by_key: Mapping[str, Sequence[str]],
        text_keys: Mapping[str, str],
    ) -> None:
        """Store the answers to one request of a batch. `keys` are those of its questions, in their order.

        `points_by_key` has the knowledge points that each question showed when it was sent, and `text_keys` the key
        of its text. If the course has other points now, the answer counts for the question of today, since it was
        paid for.
        """
        if self._flight is None or response.filtered:
            return
        questions = []
        own_ids = []
        for item_id, key in zip(item_ids(len(keys)), keys, strict=True):
            # A text may have been changed or erased meanwhile. Its answer was paid for, and is not used.
            question = self._by_key.get(key) or self._by_text.get(text_keys.get(key, ""))
            if question is not None:
                shown = tuple(points_by_key.get(key, ()))
                questions.append(replace(question, points=shown))
                own_ids.append(item_id)
        if not questions:
            return
        for resolution in self._accepted(questions, response, own_ids):
            self._flight.keep(replace(resolution, batched=True))

    def _looked_at(self, state: State, batches: "ProviderBatches") -> "BatchState":
        """Return the state of a batch that is over, or that nobody could stop. Raises Wait for any other batch."""
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
        """Raise Wait while other batches have questions of this pack, until the deadline."""
        others = json.loads(state.get("others", "[]"))
        age_seconds = self._now() - float(state.get("since", 0))
        if not others or age_seconds >= self._settings.batch_deadline_seconds:
            return
        answered = self._store.kept(self._kind, others)
        claims = [self._claim(key) for key in others if key not in answered]
        if claims and any(self._redis.mget(claims)):
            poll_seconds = self._settings.batch_poll_seconds
            raise Wait(
                "another batch has the same questions", max(poll_seconds, age_seconds / _RARER)
            )

    def _claimed(self, keys: Sequence[str]) -> tuple[list[str], list[str]]:
        """Claim questions. Return the keys of those that this pack now has, and of those that other packs have."""
        with self._redis.pipeline(transaction=False) as pipe:
            for key in keys:
                pipe.set(self._claim(key), self._owner, nx=True, ex=_CLAIM_SECONDS)
                pipe.get(self._claim(key))
            owners = [_text(owner) for owner in pipe.execute()[1::2]]
        mine = []
        others = []
        for key, owner in zip(keys, owners, strict=True):
            if owner == self._owner:
                mine.append(key)
            else:
                others.append(key)
        return mine, others

    def _end(self, state: State) -> None:
        """Give the claims back, so that questions without an answer are asked in the normal way."""
        self._spending.settle_batch(
            self._job_id, state["name"], self._kind, state["model"], Usage()
        )
        claims = self._claims(state)
        if claims:
            owners = self._redis.mget(claims)
            own = [
                claim
                for claim, owner in zip(claims, owners, strict=True)
                if _text(owner) == self._owner
            ]
            if own:
                self._redis.delete(*own)
        self._write(stage="done")

    def _batches(self, state: State) -> "ProviderBatches | None":
        """Return the batches of the key with which a pack was sent, or None if the settings no longer have it."""
        client = self._client()
        for access in client.accesses(self._kind):
            if access.key == state["access"]:
                return client.batches(access)
        return None

    @contextmanager
    def _alone(self) -> Iterator[Callable[[], None]]:
        """Let one process at a time go on with a pack. Call the yielded function before and after each outside call.

        The yielded function renews the lock, and raises Wait if another process has it. The lock of a process that
        died expires.
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
        """Return the state of the pack."""
        return {_text(name): _text(value) for name, value in self._redis.hgetall(self._key).items()}

    def _write(self, **fields: str) -> None:
        """Write some fields of the state at once."""
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.hset(self._key, mapping=dict[Any, Any](fields))
            pipe.expire(self._key, _KEPT_SECONDS)
            pipe.execute()

    def _claim(self, key: str) -> str:
        return f"edugraph:llm:batched:{self._kind}:{key}"

    def _claims(self, state: State) -> list[str]:
        claims = []
        for keys in json.loads(state["requests"]):
            claims += [self._claim(key) for key in keys]
        return claims


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode()
    return str(value or "")
