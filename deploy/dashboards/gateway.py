"""The dashboard of the gateway."""

from http_service import HttpService
from panels import Query, Row, course, highest, series

from edugraph_common.runtime.service import metrics

TITLE = "EduGraph / Gateway"
ABOUT = "HTTP by route and status, jobs, and sources that send live."

ROWS = (
    *HttpService(
        name="gateway",
        asked_title="Requests a second",
        asked="More than before: who sends? The log's line `audit` and the keys' names tell.",
        statuses="429: one client sends too much. 422: a client sends what is no record. 5xx: see the next panel.",
        errors="EduGraphGatewayErrors in the runbook: 503 names the server that is away, 500 is a bug.",
        probes_count=True,
        slow="Slow: RabbitMQ's confirms or Redis; uploads take as long as their sender.",
        slow_route="One route alone is slow: uploads write to the blob store.",
        under_way="More and more: answers do not keep up; add gateways.",
        too_many=200,
        processes_title="Gateways",
        processes="None: nothing can be sent; messages that are in the queues are still worked on.",
    ).rows(),
    Row(
        "Jobs",
        (
            course(
                "Jobs without progress",
                "none",
                "EduGraphJobsReaped in the runbook: what would have carried a job on was lost.",
                Query(
                    f"sum by (outcome) (increase({series(metrics.JOBS_REAPED)}[30m]))",
                    "{{outcome}}",
                ),
                width=24,
            ),
        ),
    ),
    Row(
        "Sources that send live",
        (
            course(
                "Rows of yesterday and today",
                "short",
                "Many rejected rows: EduGraphLiveRowsRejected in the runbook.",
                Query(highest(metrics.LIVE_ROWS, "source", "state"), "{{source}} {{state}}"),
            ),
            course(
                "Age of the oldest row that waits",
                "s",
                "EduGraphLiveRowsWait in the runbook: the importer does not keep up, or a server is away.",
                Query(highest(metrics.LIVE_LAG, "source"), "{{source}}"),
                red=300,
            ),
            course(
                "Texts of yesterday and today",
                "short",
                "Many texts over the budget: a larger --live-texts of the source, or leave them.",
                Query(highest(metrics.LIVE_TEXTS, "source", "state"), "{{source}} {{state}}"),
            ),
            course(
                "Since the last row",
                "s",
                "EduGraphLiveSourceSilent in the runbook: look whether its sender runs.",
                Query(f"time() - {highest(metrics.LIVE_LAST_ACCEPTED, 'source')}", "{{source}}"),
            ),
        ),
    ),
)
