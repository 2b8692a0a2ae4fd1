"""All schools of a fleet side by side: which one needs somebody, and which one uses much."""

from panels import SCHOOL, Query, Row, course, number, of_school, rate, series, share

from edugraph_common.runtime.service import metrics

TITLE = "EduGraph / Fleet"
ABOUT = "One line for each school: which one needs somebody, and which one uses much."
# A fleet calls each release by the name of its school.
VARIABLES = (SCHOOL,)
BY_SCHOOL = "release"
# A picture of hundreds of schools has the schools that matter.
MOST_SCHOOLS = 20
API = 'route!~"/healthz|/readyz"'
SECONDS = rate(metrics.HTTP_SECONDS, "le", BY_SCHOOL, where=API, suffix="_bucket")


def highest_schools(expression: str) -> Query:
    return of_school(f"topk({MOST_SCHOOLS}, {expression})", "{{release}}")


def lowest_schools(expression: str) -> Query:
    return of_school(f"bottomk({MOST_SCHOOLS}, {expression})", "{{release}}")


def in_all_queues(selected: str) -> str:
    """Return the sum over a school's queues of a number that each gateway of the school states."""
    return f"sum by ({BY_SCHOOL}) (max by ({BY_SCHOOL}, queue) ({selected}))"


ROWS = (
    Row(
        "Which school needs somebody",
        (
            number(
                "Dead letters",
                "short",
                "Open the page Queues and dead letters with this release, and read their reasons.",
                highest_schools(in_all_queues(series(metrics.DEAD_LETTERS))),
                red=1,
            ),
            number(
                "Oldest message",
                "s",
                "EduGraphOldestMessageTooOld in the runbook. Old in many schools: look at RabbitMQ, Redis and the provider first.",
                highest_schools(f"max by ({BY_SCHOOL}) ({series(metrics.QUEUE_OLDEST)})"),
                red=900,
            ),
            number(
                "Consumers of the queue that has the fewest",
                "none",
                "None where messages wait: EduGraphNobodyConsumes in the runbook.",
                lowest_schools(f"min by ({BY_SCHOOL}) ({series(metrics.QUEUE_CONSUMERS)})"),
                red=1,
                less=True,
            ),
            number(
                "Messages that wait",
                "short",
                "Many in one school: it imports much. Many in all schools: a server that they share is slow.",
                highest_schools(in_all_queues(series(metrics.QUEUE_MESSAGES, 'state="ready"'))),
                red=10_000,
            ),
        ),
    ),
    Row(
        "What each school uses",
        (
            course(
                "Records a second",
                "ops",
                "One school far above the others takes time of RabbitMQ and Redis from them: give it a share of its own.",
                highest_schools(rate(metrics.RECORDS, BY_SCHOOL)),
            ),
            course(
                "Tasks ended a second",
                "ops",
                "None in one school while its messages wait: look at its workers.",
                highest_schools(rate(metrics.TASKS, BY_SCHOOL)),
            ),
            course(
                "Tokens a second",
                "short",
                "The shares of all schools together are at most what the provider allows.",
                highest_schools(rate(metrics.TOKENS, BY_SCHOOL)),
            ),
        ),
    ),
    Row(
        "What people notice",
        (
            course(
                "Answers a second",
                "reqps",
                "None in one school during lessons: look whether its address leads to its gateway.",
                highest_schools(rate(metrics.HTTP_REQUESTS, BY_SCHOOL, where=API)),
            ),
            course(
                "Errors of its own",
                "percentunit",
                "Open the pages Gateway and Insights with this release.",
                highest_schools(
                    share(
                        rate(metrics.HTTP_REQUESTS, BY_SCHOOL, where=f'{API},status=~"5.."'),
                        rate(metrics.HTTP_REQUESTS, BY_SCHOOL, where=API),
                    )
                ),
                red=0.05,
            ),
            course(
                "Time of 95 % of the answers",
                "s",
                "Slow in one school: its graph or its questions. Slow in all schools: the nodes, or Redis.",
                highest_schools(f"histogram_quantile(0.95, {SECONDS})"),
                red=5,
            ),
        ),
    ),
    Row(
        "Which version runs",
        (
            course(
                "Processes by version",
                "none",
                "During an upgrade one school after the other changes. Two versions in one school: its update hangs.",
                of_school(
                    f"sum by (version) ({series(metrics.BUILD)})",
                    "{{version}}",
                ),
                width=12,
            ),
            course(
                "Schools by version",
                "none",
                "After an upgrade all schools have one version.",
                of_school(
                    f"count by (version) (count by (version, {BY_SCHOOL}) ({series(metrics.BUILD)}))",
                    "{{version}}",
                ),
                width=12,
            ),
        ),
    ),
)
