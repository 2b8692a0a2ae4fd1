"""/v1/dead-letters: what was given up, and what to do with it."""

from enum import StrEnum
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request

from edugraph_common.contracts.contract_model import Frozen
from edugraph_common.contracts.routes import QUEUES
from edugraph_gateway.auth.admission import Operator
from edugraph_gateway.gateway import Gateway, gateway_of
from edugraph_gateway.operations.dead_letter_operator import DeadLetter, NotThere, Replayed
from edugraph_gateway.problems import Problem, problem_responses

router = APIRouter(tags=["dead letters"])
PER_SECOND = 50.0  # replays
_answers = problem_responses(401, 403, 404, 409, 422, 429, 503)

QueueName = StrEnum("QueueName", {name.upper(): name for name in QUEUES})  # type: ignore[misc]
TaskId = Annotated[str, Path(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9_.-]+$")]


class DeadLetters(Frozen):
    counts: dict[str, int]
    letters: tuple[DeadLetter, ...]
    links: dict[str, str] = {}


class WholeLetter(Frozen):
    """`arguments` are those of the task; they may hold records. Null where the body cannot be read."""

    letter: DeadLetter
    arguments: Any
    links: dict[str, str] = {}


class Dropped(Frozen):
    dropped: int


@router.get("/v1/dead-letters", responses=_answers)
def list_letters(
    request: Request,
    _caller: Operator,
    queue: QueueName | None = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
) -> DeadLetters:
    """How many there are in each queue, and the oldest of one queue or of all."""
    desk = gateway_of(request).dead_desk
    counts = desk.counts()
    chosen = [str(queue)] if queue else [name for name, number in counts.items() if number]
    letters = [letter for name in chosen for letter in desk.oldest(name, limit)]
    return DeadLetters(counts=counts, letters=tuple(letters[:limit]), links={"self": "/v1/dead-letters"})


@router.get("/v1/dead-letters/{queue}/{task_id}", responses=_answers)
def show_letter(request: Request, _caller: Operator, queue: QueueName, task_id: TaskId) -> WholeLetter:
    try:
        letter, arguments = gateway_of(request).dead_desk.show(str(queue), task_id)
    except NotThere as missing:
        raise _missing(missing) from None
    base = f"/v1/dead-letters/{queue}/{task_id}"
    return WholeLetter(letter=letter, arguments=arguments, links={"self": base, "replay": f"{base}/replay"})


@router.post("/v1/dead-letters/{queue}/{task_id}/replay", responses=_answers)
def replay_letter(request: Request, caller: Operator, queue: QueueName, task_id: TaskId) -> Replayed:
    """Send it again, with no tries used up. A task that has succeeded meanwhile is not done again."""
    gateway = gateway_of(request)
    _note(gateway, caller.client_id, "dead.replay", f"{queue}/{task_id}")
    try:
        return gateway.dead_desk.replay(str(queue), task_id)
    except NotThere as missing:
        raise _missing(missing) from None


@router.post("/v1/dead-letters/{queue}/replay", responses=_answers)
def replay_letters(
    request: Request, caller: Operator, queue: QueueName, limit: Annotated[int, Query(ge=1, le=1_000)] = 100
) -> Replayed:
    """Send the oldest again, at most 50 a second. Those that no worker could read are left where they are."""
    gateway = gateway_of(request)
    _note(gateway, caller.client_id, "dead.replay", f"{queue}, {limit} at most")
    return gateway.dead_desk.replay_all(str(queue), limit, PER_SECOND)


@router.delete("/v1/dead-letters/{queue}/{task_id}", responses=_answers)
def drop_letter(request: Request, caller: Operator, queue: QueueName, task_id: TaskId) -> Dropped:
    """It is gone for good."""
    gateway = gateway_of(request)
    _note(gateway, caller.client_id, "dead.drop", f"{queue}/{task_id}")
    try:
        return Dropped(dropped=gateway.dead_desk.drop(str(queue), task_id))
    except NotThere as missing:
        raise _missing(missing) from None


@router.delete("/v1/dead-letters/{queue}", responses=_answers)
def drop_letters(request: Request, caller: Operator, queue: QueueName) -> Dropped:
    """All of the queue are gone for good."""
    gateway = gateway_of(request)
    _note(gateway, caller.client_id, "dead.drop", f"{queue}, all")
    return Dropped(dropped=gateway.dead_desk.drop_all(str(queue)))


def _note(gateway: Gateway, who: str, action: Any, what: str) -> None:
    gateway.audit.record(who, action, what, gateway.now())


def _missing(error: NotThere) -> Problem:
    return Problem(404, "not-found", f"{error.reason[0].upper()}{error.reason[1:]}.")
