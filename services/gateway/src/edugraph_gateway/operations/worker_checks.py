"""Check each kind of worker: a task in its queue asks the servers of the worker."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from celery import Celery
from pydantic import ValidationError

from edugraph_common.contracts.api import Check
from edugraph_common.contracts.errors import Failure
from edugraph_common.contracts.messages import CheckWorker
from edugraph_common.contracts.routes import CHECK_TASKS, ROUTES
from edugraph_common.contracts.worker_reports import WorkerAnswer
from edugraph_common.runtime.messaging.publisher import send, task_id_for
from edugraph_gateway.operations.held_queues import Held, HeldQueues
from edugraph_gateway.operations.task_results import TaskResults

PATIENCE_SECONDS = 10.0
POLL_SECONDS = 0.2
LOOK_AT_LOG = (
    "Its log says why: kubectl logs -l app.kubernetes.io/component={service} --tail=-1 | grep -iE 'warning|error', "
    "in compose: docker compose logs {service}."
)


@dataclass(frozen=True)
class WorkerChecks:
    """The checks of workers. `consumers` returns the number of workers of a queue, or None if it is unknown."""

    app: Celery
    results: TaskResults
    held: HeldQueues
    consumers: Callable[[str], int | None]
    new_id: Callable[[], str]
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    def all(self) -> list[Check]:
        """Ask all kinds of workers at once, and return their answers after at most PATIENCE_SECONDS."""
        check_id = self.new_id()
        # service -> id of the task
        asked = dict[str, str]()
        checks = list[Check]()
        for service, task in CHECK_TASKS.items():
            message = CheckWorker(job_id=check_id)
            try:
                asked[service] = send(self.app, task, message, task_id=task_id_for(check_id, task))
            except Failure as failure:
                checks.append(
                    _bad(
                        service,
                        f"it could not be asked: {failure.reason}",
                        "Check that RabbitMQ runs.",
                    )
                )
        answers = self._answers(asked)
        held = self._held()
        for service in asked:
            checks += self._checks_of(service, answers.get(service), held)
        return checks

    def _answers(self, asked: dict[str, str]) -> dict[str, WorkerAnswer]:
        answers = dict[str, WorkerAnswer]()
        end = self.clock() + PATIENCE_SECONDS
        while len(answers) < len(asked) and self.clock() < end:
            for service in asked.keys() - answers.keys():
                answer = self._answer(asked[service])
                if answer is not None:
                    answers[service] = answer
            self.sleep(POLL_SECONDS)
        return answers

    def _answer(self, task_id: str) -> WorkerAnswer | None:
        try:
            shown = self.results.show(task_id)
            if shown.state != "SUCCESS":
                return None
            return WorkerAnswer.model_validate(shown.result)
        except (Failure, ValidationError):
            return None

    def _held(self) -> Sequence[Held]:
        try:
            return self.held.all()
        except Failure:
            return ()

    def _checks_of(
        self, service: str, answer: WorkerAnswer | None, held: Sequence[Held]
    ) -> list[Check]:
        queue = ROUTES[CHECK_TASKS[service]].queue
        checks = []
        for each in held:
            if each.queue == queue:
                problem = f"the worker {each.worker} takes no messages: {each.reason}"
                checks.append(_bad(service, problem, LOOK_AT_LOG.format(service=service)))
        if answer is not None:
            detail = f"{answer.worker} (release {answer.release})"
            checks.append(Check(name=service, ok=True, detail=detail))
            for check in answer.checks:
                checks.append(check.model_copy(update={"name": f"{service}: {check.name}"}))
        elif not checks:
            checks.append(self._no_answer(service, queue))
        return checks

    def _no_answer(self, service: str, queue: str) -> Check:
        advice = LOOK_AT_LOG.format(service=service)
        try:
            nobody = self.consumers(queue) == 0
        except Failure:
            nobody = False
        if nobody:
            return _bad(service, f"no worker takes messages from {queue}", advice)
        problem = f"no worker of {queue} answered within {PATIENCE_SECONDS:.0f} s: they are busy, or they hang"
        return _bad(service, problem, advice)


def _bad(service: str, problem: str, advice: str) -> Check:
    return Check(name=service, ok=False, problems=(problem,), advice=(advice,))
