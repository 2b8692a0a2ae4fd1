"""From rows to the graph."""

from panels import Query, Row, course, increase, mean, number, quantiles, rate, share

from edugraph_common.runtime.service import metrics

TITLE = "EduGraph / Importer"
ABOUT = "Records, batches and transactions."

ROWS = (
    Row(
        "Records",
        (
            course(
                "Records written a second",
                "ops",
                "Less than before with the same load: look at the time to write and at transactions done again.",
                Query(rate(metrics.RECORDS, "type", where='outcome="written"'), "{{type}}"),
            ),
            course(
                "Records by what became of them",
                "ops",
                "Many set aside: edugraph jobs rejects JOB names each line, its field and the reason.",
                Query(rate(metrics.RECORDS, "outcome"), "{{outcome}}"),
            ),
            course(
                "Records set aside",
                "percentunit",
                "A file in a wrong form is mostly set aside as a whole; check its mapping with the sender.",
                Query(
                    share(rate(metrics.RECORDS, where='outcome="rejected"'), rate(metrics.RECORDS)),
                    "of all",
                ),
                red=0.1,
            ),
        ),
    ),
    Row(
        "Batches",
        (
            course(
                "Time to write a batch",
                "s",
                "EduGraphGraphWritesSlow in the runbook: Neo4j's memory and disk, constraints, fewer importers.",
                *quantiles(metrics.BATCH_SECONDS, where='step="write"'),
                red=10,
            ),
            course(
                "Time of each step, on average",
                "s",
                "Reading is slow: the blob store. Settling is slow: Redis. Writing is slow: Neo4j.",
                Query(mean(metrics.BATCH_SECONDS, "step"), "{{step}}"),
            ),
            course(
                "Batches a second",
                "ops",
                "Failed ones are in the dead letters with their reason; the job says which batches they are.",
                Query(rate(metrics.BATCHES, "state"), "{{state}}"),
            ),
        ),
    ),
    Row(
        "Transactions and findings",
        (
            course(
                "Transactions done again",
                "ops",
                "Batches get in each other's way: fewer importers or smaller batches make it quicker as a whole.",
                Query(rate(metrics.REPEATS, "code"), "{{code}}"),
                red=1,
            ),
            course(
                "Findings written a second",
                "ops",
                "None while graph_findings has messages: the worker of that queue, or a transaction that blocks it.",
                Query(rate(metrics.FINDINGS, "outcome"), "{{outcome}}"),
            ),
            course(
                "How long messages waited",
                "s",
                "Longer and longer: add importers while Neo4j still has processor time to give.",
                *quantiles(
                    metrics.QUEUE_WAIT,
                    "queue",
                    where='queue=~"data_import|graph_findings"',
                    of=(0.95,),
                ),
                red=900,
            ),
        ),
    ),
    Row(
        "Jobs",
        (
            number(
                "Jobs that failed in an hour",
                "short",
                "edugraph jobs list shows them; each says in one sentence why.",
                Query(
                    increase(metrics.JOBS_ENDED, "1h", "state", where='state!="succeeded"'),
                    "{{state}}",
                ),
                red=1,
                width=12,
            ),
            number(
                "Jobs that succeeded in an hour",
                "short",
                "None while files are sent: look at the page Queues and dead letters.",
                Query(
                    increase(metrics.JOBS_ENDED, "1h", "state", where='state="succeeded"'),
                    "{{state}}",
                ),
                width=12,
            ),
        ),
    ),
)
