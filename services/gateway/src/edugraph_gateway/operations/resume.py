"""Sending a job's tasks again, from the first batch that is not written."""

import json
from typing import Any

import anyio.to_thread

from edugraph_common.contracts.errors import Failure
from edugraph_common.contracts.messages import Analysis, AnalysisBatch, ImportJob, Message
from edugraph_common.contracts.routes import ROUTES
from edugraph_common.messaging.publisher import task_id_for
from edugraph_gateway.gateway import Gateway
from edugraph_gateway.problems import Problem
from edugraph_gateway.submission.submit import Task


async def resume(gateway: Gateway, job_id: str) -> None:
    """Raises Problem 409 for a job that cannot be resumed, Retryable when the broker did not confirm."""
    tasks = await anyio.to_thread.run_sync(_opened, gateway, job_id)
    try:
        for task in tasks:
            await gateway.sender.send(task.name, task.message, task_id=task.task_id)
    except Failure:
        await anyio.to_thread.run_sync(gateway.jobs.cancel, job_id, gateway.now())
        raise


def _opened(gateway: Gateway, job_id: str) -> list[Task]:
    kept = gateway.jobs.tasks(job_id)
    if kept is None:
        raise Problem(
            409, "too-old", "The job is too old to be resumed: send its file again, nothing is written twice."
        )
    if not gateway.jobs.resume(job_id, gateway.now()):
        raise Problem(409, "not-stopped", "Only a job that was cancelled or has failures can be resumed.")
    return [_again(gateway, *entry) for entry in json.loads(kept)]


def _again(gateway: Gateway, name: str, body: dict[str, Any], task_id: str) -> Task:
    """A split has an id of its own each time; an analysis is the same task as before, so it is done once."""
    message = _CONTRACTS[ROUTES[name].key].model_validate(body)
    if not isinstance(message, ImportJob):
        return Task(name, message, task_id)
    first = gateway.jobs.first_open_batch(message.job_id)
    step = f"split-resume-{gateway.new_id()}"
    return Task(name, message.model_copy(update={"next_batch": first}), task_id_for(message.job_id, step))


_CONTRACTS: dict[str, type[Message]] = {
    "import.split": ImportJob,
    "analysis.batch": AnalysisBatch,
    "analysis.interaction": Analysis,
    "analysis.error": Analysis,
    "analysis.knowledge_points": Analysis,
}
