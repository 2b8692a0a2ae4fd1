"""What a worker says of its servers, over the broker: Redis may be the one that refuses it."""

from edugraph_common.contracts.api import Check
from edugraph_common.contracts.contract_model import MessageModel
from edugraph_common.contracts.errors import Cause, Server


class ServerAnswer(MessageModel):
    """What became of asking one server. `cause` is None if it can be used; `reason` is a sentence for people."""

    server: Server
    cause: Cause | None = None
    reason: str = ""


class WorkerReport(MessageModel):
    """Sent each time a worker has asked its servers. It takes messages from `queues` only while all can be used."""

    worker: str
    queues: tuple[str, ...]
    answers: tuple[ServerAnswer, ...]

    @property
    def unusable(self) -> tuple[ServerAnswer, ...]:
        return tuple(answer for answer in self.answers if answer.cause is not None)


class WorkerAnswer(MessageModel):
    """The answer of one worker to CheckWorker. A later release may add checks."""

    worker: str
    release: str
    checks: tuple[Check, ...]
