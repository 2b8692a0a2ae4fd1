"""The door."""

from panels import Query, Row, course, highest, number, quantiles, rate, series, share, total

from edugraph_common.platform import metrics

TITLE = "EduGraph / Gateway"
ABOUT = "HTTP by route and status."
GATEWAY = 'service="gateway"'
API = f'{GATEWAY},route!~"/healthz|/readyz"'

ROWS = (
    Row(
        "Answers",
        (
            course(
                "Requests a second",
                "reqps",
                "More than before: who sends? The log's line `audit` and the keys' names tell.",
                Query(rate(metrics.HTTP_REQUESTS, "route", where=API), "{{route}}"),
            ),
            course(
                "Answers by status",
                "reqps",
                "429: one client sends too much. 422: a client sends what is no record. 5xx: see the next panel.",
                Query(rate(metrics.HTTP_REQUESTS, "status", where=API), "{{status}}"),
            ),
            course(
                "Errors of its own",
                "percentunit",
                "EduGraphGatewayErrors in the runbook: 503 names the server that is away, 500 is a bug.",
                Query(
                    share(
                        rate(metrics.HTTP_REQUESTS, where=f'{GATEWAY},status=~"5.."'),
                        rate(metrics.HTTP_REQUESTS, where=GATEWAY),
                    ),
                    "of all",
                ),
                red=0.05,
            ),
        ),
    ),
    Row(
        "Time",
        (
            course(
                "Time of an answer",
                "s",
                "Slow: RabbitMQ's confirms or Redis; uploads take as long as their sender.",
                *quantiles(metrics.HTTP_SECONDS, where=API),
                red=5,
            ),
            course(
                "By route",
                "s",
                "One route alone is slow: uploads write to the blob store.",
                *quantiles(metrics.HTTP_SECONDS, "route", where=API, of=(0.95,)),
                red=5,
            ),
            course(
                "Requests under way",
                "none",
                "More and more: answers do not keep up; add gateways.",
                Query(total(metrics.HTTP_ACTIVE, where=GATEWAY), "now"),
                red=200,
            ),
        ),
    ),
    Row(
        "Processes",
        (
            number(
                "Gateways",
                "none",
                "None: nothing can be sent; messages that are in the queues are still worked on.",
                Query(f"count({series(metrics.BUILD, GATEWAY)})", "up"),
                red=1,
                less=True,
                width=12,
            ),
            number(
                "Up for",
                "s",
                "Minutes only, again and again: kubectl describe pod says why it ended.",
                Query(f"time() - {highest(metrics.STARTED, 'instance')}", "{{instance}}"),
                width=12,
            ),
        ),
    ),
    Row(
        "Jobs",
        (
            course(
                "Jobs without progress",
                "none",
                "EduGraphJobsReaped in the runbook: what would have carried a job on was lost.",
                Query(f"sum by (outcome) (increase({series(metrics.JOBS_REAPED)}[30m]))", "{{outcome}}"),
                width=24,
            ),
        ),
    ),
)
