"""Is it moving, what waits, what failed, what it costs: the first page at night."""

from panels import Query, Row, course, highest, increase, number, rate, series, share, total

from edugraph_common.runtime.service import metrics

TITLE = "EduGraph / Overview"
ABOUT = "Is it moving, what waits, what failed, what does it cost."
FAILED = 'outcome=~"failed|lost"'
ENDED = 'outcome=~"succeeded|failed|lost"'

ROWS = (
    Row(
        "Is it moving",
        (
            course(
                "Records a second",
                "ops",
                "None while messages wait in data_import: see the alert EduGraphNoProgress in the runbook.",
                Query(rate(metrics.RECORDS, "outcome"), "{{outcome}}"),
            ),
            course(
                "Records analysed a second",
                "ops",
                "None while messages wait in llm_analysis: look at the provider's answers and at the wait for a place.",
                Query(rate(metrics.ANALYSES, "outcome"), "{{outcome}}"),
            ),
            course(
                "Tasks ended a second",
                "ops",
                "A queue whose line lies on the ground while its messages wait needs its worker looked at.",
                Query(rate(metrics.TASKS, "queue", where=ENDED), "{{queue}}"),
            ),
        ),
    ),
    Row(
        "What waits",
        (
            number(
                "Messages that wait",
                "short",
                "More and more: add workers of that queue, or find out why they are slow.",
                Query(highest(metrics.QUEUE_MESSAGES, "queue", where='state="ready"'), "{{queue}}"),
                red=10_000,
                width=8,
            ),
            number(
                "Oldest message",
                "s",
                "Old in data_import or graph_findings: EduGraphOldestMessageTooOld in the runbook; analysis may wait.",
                Query(highest(metrics.QUEUE_OLDEST, "queue"), "{{queue}}"),
                red=900,
                width=8,
            ),
            number(
                "Workers that consume",
                "none",
                "None where messages wait: EduGraphNobodyConsumes in the runbook.",
                Query(highest(metrics.QUEUE_CONSUMERS, "queue"), "{{queue}}"),
                red=1,
                less=True,
                width=8,
            ),
        ),
    ),
    Row(
        "What failed",
        (
            number(
                "Dead letters",
                "short",
                "Read their reasons (edugraph dead list), put the cause right, and replay them.",
                Query(highest(metrics.DEAD_LETTERS, "queue"), "{{queue}}"),
                red=1,
            ),
            number(
                "Tasks that fail",
                "percentunit",
                "EduGraphTasksFail in the runbook: most often one cause for all.",
                Query(
                    share(rate(metrics.TASKS, where=FAILED), rate(metrics.TASKS, where=ENDED)),
                    "of all",
                ),
                red=0.05,
            ),
            number(
                "Requests to the provider that fail",
                "percentunit",
                "Look at the answers by status on the page Analyzer and provider.",
                Query(
                    share(
                        rate(metrics.PROVIDER_REQUESTS, where='status!~"200|429"'),
                        rate(metrics.PROVIDER_REQUESTS),
                    ),
                    "of all",
                ),
                red=0.25,
            ),
            number(
                "Records set aside in a day",
                "short",
                "They wait to be corrected: edugraph jobs rejects JOB writes them out.",
                Query(increase(metrics.RECORDS, "1d", where='outcome="rejected"'), "records"),
            ),
        ),
    ),
    Row(
        "What it costs",
        (
            number(
                "Money spent in a day",
                "short",
                "In the currency of the price table; a budget for each job (EDUGRAPH_BUDGET_PER_JOB) bounds it.",
                Query(increase(metrics.COST, "1d", "model"), "{{model}}"),
            ),
            number(
                "Tokens in a day",
                "short",
                "Many for few records: look at the pack size and at what is asked again.",
                Query(increase(metrics.TOKENS, "1d", "direction"), "{{direction}}"),
            ),
            number(
                "Answered from the cache",
                "percentunit",
                "What is asked a second time costs nothing; 0 after a new prompt or model is as it must be.",
                Query(
                    share(rate(metrics.CACHE, where='result="hit"'), rate(metrics.CACHE)), "of all"
                ),
            ),
            number(
                "Jobs ended in a day",
                "short",
                "Of those that failed, edugraph jobs show JOB says why.",
                Query(increase(metrics.JOBS_ENDED, "1d", "state"), "{{state}}"),
            ),
        ),
    ),
    Row(
        "What runs",
        (
            course(
                "Processes by version",
                "none",
                "Two versions for longer than an update takes: the update hangs.",
                Query(
                    f"sum by (service, version) ({series(metrics.BUILD)})",
                    "{{service}} {{version}}",
                ),
                width=12,
            ),
            course(
                "Tasks that run now",
                "none",
                "As many as there are children and messages that wait: the workers are full, add some.",
                Query(total(metrics.TASKS_ACTIVE, "queue"), "{{queue}}"),
                width=12,
            ),
        ),
    ),
)
