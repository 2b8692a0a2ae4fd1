"""The names of queues, the routing keys and the route of each task. Publishers and consumers read them here only."""

import re
from typing import NamedTuple

from edugraph_common.contracts.findings import Kind

# The analyzer's requests to the importer have their own routing keys, so that the analyzer's user of the broker needs
# no permission for other requests.
ASKED_BY_ANALYZER = ("import.members", "import.again")
# The first key of a queue is also the key of its delayed messages. `import.split` begins imports and carries requests
# about persons.
ROUTING_KEYS: dict[str, tuple[str, ...]] = {
    "data_import": ("import.batch", "import.split", "import.aggregate", *ASKED_BY_ANALYZER),
    "import_splits": ("split.source",),
    "live_records": ("live.records",),
    "graph_findings": ("findings.record", "findings.proposals"),
    "llm_analysis": (
        "analysis.batch",
        "analysis.interaction",
        "analysis.error",
        "analysis.knowledge_points",
        "analysis.names",
        "analysis.draft",
        "analysis.question",
    ),
}
QUEUES: tuple[str, ...] = tuple(ROUTING_KEYS)
# The queue, and its routing key, in which workers report whether their servers can be used. The gateway reads it.
WORKER_REPORTS, WORKER_REPORT_KEY = "worker_reports", "worker.report"
# The prefix that Celery puts before the routing key of a delayed message.
DELAY = re.compile(r"^(?:[01]\.){28}")


# RabbitMQ's quorum queues have two levels of priority: from 5 on a message is urgent. While messages of both levels
# wait, two of three delivered messages are urgent.
URGENT = 9


class Route(NamedTuple):
    """The queue, routing key and priority of a task.

    A task is urgent if it is short and lets a job begin, continue or end. None is the normal priority.
    """

    queue: str
    key: str
    priority: int | None = None


ROUTES: dict[str, Route] = {
    "import_records_async": Route("data_import", "import.split", URGENT),
    "import_records_with_callback": Route("data_import", "import.split", URGENT),
    "export_student_task": Route("data_import", "import.split"),
    "restrict_student_task": Route("data_import", "import.split", URGENT),
    "erase_person_task": Route("data_import", "import.split", URGENT),
    "admit_person_task": Route("data_import", "import.split", URGENT),
    "replay_erasures_task": Route("data_import", "import.split"),
    "end_old_records_task": Route("data_import", "import.split"),
    "clean_job_task": Route("data_import", "import.split", URGENT),
    "write_reviews_task": Route("data_import", "import.split", URGENT),
    "undo_import_task": Route("data_import", "import.split"),
    "derive_graph_task": Route("data_import", "import.split"),
    "propose_same_task": Route("data_import", "import.split"),
    "settle_prerequisites_task": Route("data_import", "import.split", URGENT),
    "remove_from_graph_task": Route("data_import", "import.split"),
    "rename_in_graph_task": Route("data_import", "import.split"),
    "read_again_task": Route("data_import", "import.split"),
    "tell_course_members_task": Route("data_import", ASKED_BY_ANALYZER[0], URGENT),
    "begin_import_again_task": Route("data_import", ASKED_BY_ANALYZER[1], URGENT),
    "split_source_task": Route("import_splits", "split.source"),
    "import_batch_task": Route("data_import", "import.batch"),
    "import_live_task": Route("live_records", "live.records"),
    "aggregate_import_results": Route("data_import", "import.aggregate", URGENT),
    "record_findings_task": Route("graph_findings", "findings.record"),
    "record_proposals_task": Route("graph_findings", "findings.proposals"),
    "batch_analyze_interactions_task": Route("llm_analysis", "analysis.batch", URGENT),
    "batch_analyze_errors_task": Route("llm_analysis", "analysis.batch", URGENT),
    "continue_analysis_task": Route("llm_analysis", "analysis.batch", URGENT),
    "estimate_analysis_task": Route("llm_analysis", "analysis.batch", URGENT),
    "analyze_interaction_task": Route("llm_analysis", "analysis.interaction"),
    "analyze_error_task": Route("llm_analysis", "analysis.error"),
    "extract_knowledge_points_task": Route("llm_analysis", "analysis.knowledge_points"),
    "compare_names_task": Route("llm_analysis", "analysis.names"),
    "write_draft_task": Route("llm_analysis", "analysis.draft", URGENT),
    "choose_question_task": Route("llm_analysis", "analysis.question", URGENT),
    "check_importer_task": Route("data_import", "import.split", URGENT),
    "check_splits_task": Route("import_splits", "split.source", URGENT),
    "check_findings_task": Route("graph_findings", "findings.record", URGENT),
    "check_analyzer_task": Route("llm_analysis", "analysis.batch", URGENT),
}

# The name of a worker's deployment -> the task with which `edugraph doctor` checks the worker.
CHECK_TASKS: dict[str, str] = {
    "importer": "check_importer_task",
    "splits": "check_splits_task",
    "findings": "check_findings_task",
    "analyzer": "check_analyzer_task",
}

# Kind of analysis -> the task that analyses a batch. Course texts share a task with interactions, since the task
# reads the kind from its message.
BATCH_TASKS: dict[Kind, str] = {
    "interaction": "batch_analyze_interactions_task",
    "error": "batch_analyze_errors_task",
    "knowledge_points": "batch_analyze_interactions_task",
}


def dead_queue_name(queue: str) -> str:
    return f"{queue}.dead"


def queue_of(routing_key: str) -> str | None:
    """Return the task queue of a routing key, or None. The key of a delayed message has 28 bits before it."""
    key = DELAY.sub("", routing_key)
    for queue, keys in ROUTING_KEYS.items():
        if key in keys:
            return queue
    return None
