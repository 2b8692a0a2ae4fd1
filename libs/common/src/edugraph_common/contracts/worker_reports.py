"""Reports of workers about their servers. They travel over the broker, because Redis may be the server at fault."""

from edugraph_common.contracts.api import Check
from edugraph_common.contracts.contract_model import MessageModel
from edugraph_common.contracts.errors import Cause, Server


class ServerAnswer(MessageModel):
    """The state of one server. `cause` is None if the server can be used. `reason` is a sentence for people."""

    server: Server
    cause: Cause | None = None
    reason: str = ""


class WorkerReport(MessageModel):
    """The report that a worker sends after each check of its servers.

    The worker takes messages from `queues` only while all of its servers can be used.
    """

    worker: str
    queues: tuple[str, ...]
    answers: tuple[ServerAnswer, ...]

    @property
    def unusable(self) -> tuple[ServerAnswer, ...]:
        return tuple(answer for answer in self.answers if answer.cause is not None)


class WorkerAnswer(MessageModel):
    """The answer of a worker to CheckWorker. A later release may add checks."""

    worker: str
    release: str
    checks: tuple[Check, ...]
