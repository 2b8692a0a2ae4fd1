"""The read door."""

from panels import Query, Row, course, highest, number, quantiles, rate, series, share, total

from edugraph_common.platform import metrics

TITLE = "EduGraph / Insights"
ABOUT = "Questions about the graph, by route and status."
INSIGHTS = 'service="insights"'
API = f'{INSIGHTS},route!~"/healthz|/readyz"'

ROWS = (
    Row(
        "Answers",
        (
            course(
                "Questions a second",
                "reqps",
                "More than before: who asks? The audit log tells for what is personal.",
                Query(rate(metrics.HTTP_REQUESTS, "route", where=API), "{{route}}"),
            ),
            course(
                "Answers by status",
                "reqps",
                "422: a question is too large or has wrong parameters. 403: a role or scope is missing.",
                Query(rate(metrics.HTTP_REQUESTS, "status", where=API), "{{status}}"),
            ),
            course(
                "Errors of its own",
                "percentunit",
                "EduGraphInsightsErrors in the runbook: 503 names the server that is away, 500 is a bug.",
                Query(
                    share(
                        rate(metrics.HTTP_REQUESTS, where=f'{API},status=~"5.."'),
                        rate(metrics.HTTP_REQUESTS, where=API),
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
                "Slow: Neo4j reads from disk; give it more page cache, or ask for a group instead of a course.",
                *quantiles(metrics.HTTP_SECONDS, where=API),
                red=5,
            ),
            course(
                "By route",
                "s",
                "One question alone is slow: it reads more than it used to. digest and summary read the whole graph.",
                *quantiles(metrics.HTTP_SECONDS, "route", where=API, of=(0.95,)),
                red=5,
            ),
            course(
                "Requests under way",
                "none",
                "More and more: answers do not keep up; add pods, if Neo4j has room.",
                Query(total(metrics.HTTP_ACTIVE, where=INSIGHTS), "now"),
                red=40,
            ),
        ),
    ),
    Row(
        "Processes",
        (
            number(
                "Insights",
                "none",
                "None: nothing can be asked; imports and analyses go on.",
                Query(f"count({series(metrics.BUILD, INSIGHTS)})", "up"),
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
)
