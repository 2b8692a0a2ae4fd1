"""Answers of the gateway that its clients read too. Each has its ids and links."""

from edugraph_common.contracts.contract_model import ContractModel, MessageModel


class Accepted(ContractModel):
    """The job is stored and its message confirmed by the broker."""

    job_id: str
    task_id: str
    links: dict[str, str] = {}


class Erasures(ContractModel):
    """Of each student who was erased the tombstone: a keyed hash of the id."""

    tombstones: tuple[str, ...]


class Restricted(ContractModel):
    """The ids of the students of whom everything is kept, and nothing analysed or shown."""

    students: tuple[str, ...]


class Mistakes(ContractModel):
    """How often a knowledge point was behind a mistake, and of how many students."""

    knowledge_point: str
    name: str | None
    mistakes: int
    students: int


class GraphSummary(ContractModel):
    nodes: dict[str, int]
    relationships: dict[str, int]
    frequent_mistakes: tuple[Mistakes, ...]
    links: dict[str, str] = {}


class Check(MessageModel):
    """What was checked: a server, a worker, or what a worker says of a server. `detail` says what was found."""

    name: str
    ok: bool
    detail: str = ""
    problems: tuple[str, ...] = ()
    advice: tuple[str, ...] = ()


class Diagnosis(ContractModel):
    ok: bool
    checks: tuple[Check, ...]
    links: dict[str, str] = {}
