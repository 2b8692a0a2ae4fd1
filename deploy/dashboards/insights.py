"""The dashboard of insights."""

from http_service import HttpService

TITLE = "EduGraph / Insights"
ABOUT = "Questions about the graph, by route and status."

ROWS = HttpService(
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
).rows()
