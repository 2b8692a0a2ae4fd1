"""/v1/dead-letters: list, show, replay and delete messages that were given up."""

from enum import StrEnum
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query

from edugraph_common.contracts.contract_model import ContractModel
from edugraph_common.contracts.routes import QUEUES
from edugraph_common.runtime.messaging.dead_letter_store import DeadLetter
from edugraph_gateway.api.dependencies import (
    AuditTrailDep,
    DeadLettersDep,
    Operator,
    PersonalOperator,
    RestrictionsDep,
)
from edugraph_gateway.operations.dead_letter_operator import Replayed
from edugraph_gateway.operations.restriction import json_without
from edugraph_gateway.problems import problem_responses

router = APIRouter(tags=["dead letters"])
REPLAYS_PER_SECOND = 50.0
_answers = problem_responses(401, 403, 404, 409, 422, 429, 503)

QueueName = StrEnum("QueueName", {name.upper(): name for name in QUEUES})  # type: ignore[misc]
TaskId = Annotated[str, Path(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9_.-]+$")]


class DeadLetters(ContractModel):
    counts: dict[str, int]
    letters: tuple[DeadLetter, ...]
    links: dict[str, str] = {}


class WholeLetter(ContractModel):
    """A dead letter with the arguments of its task, which may contain records, or null for an unreadable body."""

    letter: DeadLetter
    arguments: Any
    links: dict[str, str] = {}


class Dropped(ContractModel):
    dropped: int


@router.get("/v1/dead-letters", responses=_answers)
def list_letters(
    _caller: Operator,
    dead_letters: DeadLettersDep,
    queue: QueueName | None = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
) -> DeadLetters:
    """Return the number of dead letters of each queue, and the oldest dead letters of one queue or of all queues."""
    counts = dead_letters.counts()
    if queue:
        chosen = [str(queue)]
    else:
        chosen = [name for name, number in counts.items() if number]
    letters = list[DeadLetter]()
    for name in chosen:
        letters += dead_letters.oldest(name, limit)
    return DeadLetters(
        counts=counts, letters=tuple(letters[:limit]), links={"self": "/v1/dead-letters"}
    )


@router.get("/v1/dead-letters/{queue}/{task_id}", responses=_answers)
def show_letter(
    *,
    caller: PersonalOperator,
    dead_letters: DeadLettersDep,
    trail: AuditTrailDep,
    restrictions: RestrictionsDep,
    queue: QueueName,
    task_id: TaskId,
) -> WholeLetter:
    """Return one dead letter. Records of restricted students are blanked."""
    who = restrictions.people()
    trail.shown(caller, "dead letter", f"{queue}/{task_id}")
    letter, arguments = dead_letters.show(str(queue), task_id)
    base = f"/v1/dead-letters/{queue}/{task_id}"
    shown = json_without(arguments, who)
    return WholeLetter(
        letter=letter, arguments=shown, links={"self": base, "replay": f"{base}/replay"}
    )


@router.post("/v1/dead-letters/{queue}/{task_id}/replay", responses=_answers)
def replay_letter(
    *,
    caller: Operator,
    dead_letters: DeadLettersDep,
    trail: AuditTrailDep,
    queue: QueueName,
    task_id: TaskId,
) -> Replayed:
    """Send one dead letter again, with all its tries. A task that has succeeded meanwhile is not sent."""
    with trail.doing(caller, "dead.replay", f"{queue}/{task_id}"):
        return dead_letters.replay(str(queue), task_id, caller.person)


@router.post("/v1/dead-letters/{queue}/replay", responses=_answers)
def replay_letters(
    *,
    caller: Operator,
    dead_letters: DeadLettersDep,
    trail: AuditTrailDep,
    queue: QueueName,
    limit: Annotated[int, Query(ge=1, le=1_000)] = 100,
) -> Replayed:
    """Send the oldest dead letters of a queue again, at most 50 a second. Unreadable ones stay."""
    with trail.doing(caller, "dead.replay", f"{queue}, {limit} at most"):
        return dead_letters.replay_all(str(queue), limit, REPLAYS_PER_SECOND, caller.person)


@router.delete("/v1/dead-letters/{queue}/{task_id}", responses=_answers)
def drop_letter(
    *,
    caller: Operator,
    dead_letters: DeadLettersDep,
    trail: AuditTrailDep,
    queue: QueueName,
    task_id: TaskId,
) -> Dropped:
    """Delete one dead letter. It cannot be restored."""
    with trail.doing(caller, "dead.drop", f"{queue}/{task_id}"):
        return Dropped(dropped=dead_letters.drop(str(queue), task_id))


@router.delete("/v1/dead-letters/{queue}", responses=_answers)
def drop_letters(
    caller: Operator, dead_letters: DeadLettersDep, trail: AuditTrailDep, queue: QueueName
) -> Dropped:
    """Delete all dead letters of a queue. They cannot be restored."""
    with trail.doing(caller, "dead.drop", f"{queue}, all"):
        return Dropped(dropped=dead_letters.drop_all(str(queue)))
