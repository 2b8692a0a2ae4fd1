"""An Idempotency-Key in a Redis: the work is done once for each key, and everybody gets the same answer."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Iterator

import pytest
import redis
from anyio import fail_after, move_on_after
from fastapi import FastAPI
from fastapi.testclient import TestClient

from edugraph_common.contracts.api import Accepted
from edugraph_common.contracts.errors import Rejected, Retryable
from edugraph_common.runtime.service.problems import Problem
from edugraph_gateway.submission import idempotency
from edugraph_gateway.submission.idempotency import Done, IdempotencyStore, idempotent_run, key_name

ANSWER = Accepted(job_id="j", task_id="t", links={"job": "/v1/jobs/j"})
Work = Callable[[], Awaitable[Done]]


@pytest.fixture
def server(redis_url: str) -> Iterator["redis.Redis"]:
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        yield client


@pytest.fixture
def store(server: "redis.Redis") -> IdempotencyStore:
    return IdempotencyStore(server)


@pytest.fixture
def name(server: "redis.Redis") -> Iterator[str]:
    own = key_name("client", "/v1/imports", f"test-{uuid.uuid4().hex}")
    yield own
    server.delete(own)


class Submission:
    """Work that is counted. It begins, waits for `go_on` if there is one, and fails if it has a failure."""

    def __init__(self, failure: BaseException | None = None, *, waits: bool = False) -> None:
        self.done, self.failure = 0, failure
        self.begun, self.go_on = asyncio.Event(), asyncio.Event()
        if not waits:
            self.go_on.set()

    async def __call__(self) -> Done:
        self.done += 1
        self.begun.set()
        await self.go_on.wait()
        if self.failure:
            raise self.failure
        return Done("of this body", ANSWER)


async def of(fingerprint: str) -> str:
    return fingerprint


async def send(
    store: IdempotencyStore, name: str | None, work: Submission, fingerprint: str = "of this body"
) -> Accepted:
    with fail_after(20):
        return await idempotent_run(store, name, work, lambda: of(fingerprint))


def test_the_same_key_does_the_work_once_and_gives_the_same_answer(store, name) -> None:
    async def scenario() -> None:
        work = Submission()
        assert [await send(store, name, work) for _ in range(3)] == [ANSWER] * 3
        assert work.done == 1

    asyncio.run(scenario())


def test_without_a_key_the_work_is_done_each_time(store) -> None:
    async def scenario() -> None:
        work = Submission()
        assert [await send(store, None, work) for _ in range(3)] == [ANSWER] * 3
        assert work.done == 3

    asyncio.run(scenario())


def test_those_who_send_the_key_meanwhile_wait_for_the_first(store, name) -> None:
    async def scenario() -> None:
        work = Submission(waits=True)
        first = asyncio.create_task(send(store, name, work))
        await work.begun.wait()
        others = [asyncio.create_task(send(store, name, work)) for _ in range(5)]
        await asyncio.sleep(0.2)
        assert not any(each.done() for each in others)
        work.go_on.set()
        assert await asyncio.gather(first, *others) == [ANSWER] * 6
        assert work.done == 1

    asyncio.run(scenario())


def test_another_body_under_the_same_key_is_a_conflict(store, name) -> None:
    async def scenario() -> None:
        await send(store, name, Submission())
        with pytest.raises(Problem) as caught:
            await send(store, name, Submission(), "of another body")
        assert (caught.value.status, caught.value.name) == (409, "key-reused")

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "failure", [Problem(503, "pressure", "full"), Rejected("no"), asyncio.CancelledError()]
)
def test_a_first_request_that_fails_gives_its_key_back(store, name, failure) -> None:
    async def scenario() -> None:
        with pytest.raises(type(failure)):
            await send(store, name, Submission(failure))
        assert store.recall(name) is None
        work = Submission()
        assert await send(store, name, work) == ANSWER
        assert work.done == 1

    asyncio.run(scenario())


def test_a_client_that_went_away_gives_its_key_back(store, name) -> None:
    async def scenario() -> None:
        with move_on_after(0.2) as scope:
            await send(store, name, Submission(waits=True))
        assert scope.cancelled_caught
        assert store.recall(name) is None

    asyncio.run(scenario())


def test_those_who_wait_are_told_when_the_first_has_failed(store, name) -> None:
    async def scenario() -> None:
        work = Submission(Rejected("no"), waits=True)
        first = asyncio.create_task(send(store, name, work))
        await work.begun.wait()
        other = asyncio.create_task(send(store, name, work))
        await asyncio.sleep(0.1)
        work.go_on.set()
        with pytest.raises(Rejected):
            await first
        with pytest.raises(Problem) as caught:
            await other
        assert (caught.value.status, caught.value.name, caught.value.retry_after) == (
            503,
            "first-failed",
            1,
        )
        assert work.done == 1

    asyncio.run(scenario())


def test_those_who_wait_longer_than_four_seconds_are_told_to_come_back(
    store, name, monkeypatch
) -> None:
    assert idempotency.MAX_WAIT_SECONDS == 4
    monkeypatch.setattr(idempotency, "MAX_WAIT_SECONDS", 0.3)

    async def scenario() -> None:
        assert store.claim(name)
        began = asyncio.get_running_loop().time()
        with pytest.raises(Problem) as caught:
            await send(store, name, Submission())
        assert (caught.value.status, caught.value.name, caught.value.retry_after) == (
            503,
            "first-waits",
            2,
        )
        assert 0.3 <= asyncio.get_running_loop().time() - began < 3

    asyncio.run(scenario())


def test_one_who_waits_looks_often_and_not_all_the_time(store, name, monkeypatch) -> None:
    monkeypatch.setattr(idempotency, "MAX_WAIT_SECONDS", 0.3)
    looks, original = [], store.recall
    store.recall = lambda name: looks.append(name) or original(name)

    async def scenario() -> None:
        assert store.claim(name)
        with pytest.raises(Problem):
            await send(store, name, Submission())

    asyncio.run(scenario())
    assert 1 <= len(looks) <= 11


def test_a_claim_is_renewed_while_the_body_comes_in_and_not_after(store, name, monkeypatch) -> None:
    # Three renewals may fail.
    assert idempotency.RENEWAL_SECONDS * 4 == idempotency.CLAIM_LIFETIME_SECONDS
    monkeypatch.setattr(idempotency, "RENEWAL_SECONDS", 0.05)
    renewed: list[str] = []

    def renew(name: str) -> None:
        renewed.append(name)
        raise Retryable("away")  # a renewal that fails is tried again

    store.renew_claim = renew

    async def scenario() -> None:
        work = Submission(waits=True)
        sent = asyncio.create_task(send(store, name, work))
        await asyncio.sleep(0.5)
        work.go_on.set()
        await sent
        assert renewed[:2] == [name, name]
        assert len(renewed) <= 10
        so_far = len(renewed)
        await asyncio.sleep(0.2)
        assert len(renewed) == so_far

    asyncio.run(scenario())


def test_a_claim_holds_a_minute_from_its_last_renewal_and_an_answer_a_day(
    store, server, name
) -> None:
    claim = store.claim(name)
    assert claim
    assert 59_000 < server.pttl(name) <= 60_000
    server.expire(name, 5)
    store.renew_claim(name)
    assert 59_000 < server.pttl(name) <= 60_000

    async def scenario() -> None:
        store.give_back(name, claim)
        await send(store, name, Submission())

    asyncio.run(scenario())
    assert server.ttl(name) == pytest.approx(86_400, abs=2)


def test_only_the_first_has_the_claim(store, name) -> None:
    claim = store.claim(name)
    assert claim
    assert len(claim) == 16
    assert store.claim(name) is None
    found = store.recall(name)
    assert found is not None
    assert (found.claim, found.answer, found.fingerprint) == (claim, None, "")


def test_a_claim_is_given_back_by_the_one_who_has_it_alone(store, name) -> None:
    """A request that outlived its claim must not take away that of the one who came after it."""
    claim = store.claim(name)
    store.give_back(name, "another's")
    assert store.recall(name).claim == claim
    store.give_back(name, claim)
    assert store.recall(name) is None
    store.give_back(name, claim)  # of what is gone


OTHERS = Done("of another body", ANSWER.model_copy(update={"job_id": "other"}))


@pytest.mark.parametrize("meanwhile", ["nothing", "ended", "claimed", "answered"])
def test_an_answer_is_kept_unless_another_request_has_the_key(
    store, server, name, meanwhile: str
) -> None:
    """Out: the comparison of claims in complete.lua. The answer of the one who holds the key stays."""
    claim = store.claim(name)
    assert claim
    if meanwhile != "nothing":
        server.delete(name)
    if meanwhile in ("claimed", "answered"):
        other_claim = store.claim(name)
    if meanwhile == "answered":
        assert store.complete(name, other_claim, OTHERS) is True
    before = store.recall(name)

    is_kept = store.complete(name, claim, Done("of this body", ANSWER))
    found = store.recall(name)
    assert is_kept is (meanwhile in ("nothing", "ended"))
    if is_kept:
        assert (found.claim, found.fingerprint, found.answer) == (claim, "of this body", ANSWER)
    else:
        assert found == before


def test_an_answer_that_cannot_be_kept_makes_no_error_of_an_accepted_job(store, name) -> None:
    def fail(*_: object) -> None:
        raise Retryable("away")

    store.complete = fail

    async def scenario() -> None:
        assert await send(store, name, Submission()) == ANSWER

    asyncio.run(scenario())


def test_a_claim_that_cannot_be_given_back_does_not_hide_why_the_request_failed(
    store, name
) -> None:
    def fail(*_: object) -> None:
        raise Retryable("away")

    store.give_back = fail

    async def scenario() -> None:
        with pytest.raises(Rejected, match="no"):
            await send(store, name, Submission(Rejected("no")))

    asyncio.run(scenario())


def test_a_key_is_255_visible_characters_at_most_and_the_api_says_what_it_does() -> None:
    app = FastAPI()

    @app.get("/")
    def told(key: idempotency.IdempotencyKey = None) -> str | None:
        return key

    client = TestClient(app)
    assert client.get("/").json() is None
    for good in ("k", "!~", "k" * 255):
        assert client.get("/", headers={"Idempotency-Key": good}).json() == good
    for bad in ("", "k" * 256, "a b", "k\x7f"):
        assert client.get("/", headers={"Idempotency-Key": bad}).status_code == 422
    [parameter] = app.openapi()["paths"]["/"]["get"]["parameters"]
    assert (parameter["name"], parameter["in"]) == ("Idempotency-Key", "header")
    told_lengths = next(each for each in parameter["schema"]["anyOf"] if each["type"] == "string")
    assert (told_lengths["minLength"], told_lengths["maxLength"]) == (1, 255)
    assert (
        parameter["description"]
        == "The same key within a day gives the same job; with another body it is 409."
    )


def test_clients_addresses_and_keys_are_told_apart_and_a_key_is_not_readable() -> None:
    names = {
        key_name(client, address, key)
        for client in ("a", "b")
        for address in ("/v1/imports", "/v1/analyses")
        for key in ("k", "l")
    }
    assert len(names) == 8
    assert "secret-of-a-client" not in key_name("a", "/v1/imports", "secret-of-a-client")


@pytest.mark.loopback("a connection that is refused is the failure")
def test_without_redis_each_step_says_to_try_again() -> None:
    away = IdempotencyStore(redis.Redis(port=1, retry=None))
    for step in (lambda: away.claim("n"), lambda: away.renew_claim("n"), lambda: away.recall("n")):
        with pytest.raises(Retryable):
            step()
