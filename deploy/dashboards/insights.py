"""The dashboard of insights."""

from http_service import HttpService
from panels import Query, Row, course, series

from edugraph_common.runtime.service import metrics

TITLE = "EduGraph / Insights"
ABOUT = "Questions about the graph, by route and status."

ROWS = (
    *HttpService(
        name="insights",
        asked_title="Questions a second",
        asked="More than before: who asks? The audit log tells for what is personal.",
        statuses="422: a question is too large or has wrong parameters. 403: a role or scope is missing.",
        errors="EduGraphInsightsErrors in the runbook: 503 names the server that is away, 500 is a bug.",
        slow="Slow: Neo4j reads from disk; give it more page cache, or ask for a group instead of a course.",
        slow_route="One question alone is slow: it reads more than it used to. digest and summary read the whole graph.",
        under_way="More and more: answers do not keep up; add pods, if Neo4j has room.",
        too_many=40,
        processes_title="Insights",
        processes="None: nothing can be asked; imports and analyses go on.",
    ).rows(),
    Row(
        "Weekly mails",
        (
            course(
                "Mails in a day, by outcome",
                "none",
                "postponed: the mail server is away or slow. refused: an address or a text that it does not take. "
                "unknown: a process or a connection ended in the middle; these mails are not sent again.",
                # Redis counts them, so each replica says the same.
                Query(
                    f"max by (outcome) (increase({series(metrics.DIGEST_MAILS)}[1d]))",
                    "{{outcome}}",
                ),
                width=12,
            ),
            course(
                "Messages to chats in a day, by service and outcome",
                "none",
                "refused: the chat does not take it; look at the address of the channel. postponed: the chat was away. "
                "unknown: it may have arrived, and is not sent again. The log names the channel.",
                Query(
                    f"max by (service, outcome) (increase({series(metrics.DIGEST_CHATS)}[1d]))",
                    "{{service}} {{outcome}}",
                ),
                width=12,
            ),
        ),
    ),
)
