"""The pools of both workers."""

from panels import (
    Query,
    Row,
    course,
    highest,
    increase,
    number,
    quantiles,
    rate,
    series,
    share,
    total,
)

from edugraph_common.runtime.service import metrics

TITLE = "EduGraph / Workers"
ABOUT = "Pools, tasks and children."

ROWS = (
    Row(
        "Pools",
        (
            number(
                "Workers that consume",
                "none",
                "Fewer than there are pods: one is connected to nothing, its log says what it waits for.",
                Query(total(metrics.CONSUMING, "queue"), "{{queue}}"),
                red=1,
                less=True,
            ),
            number(
                "Servers that a worker cannot use",
                "none",
                "EduGraphServerUnusable in the runbook; the worker's log names server, user and reason.",
                Query(
                    f"sum by (service, dependency, reason) (1 - {series(metrics.DEPENDENCY_UP)})",
                    "{{service}}: {{dependency}} {{reason}}",
                ),
                red=1,
            ),
            number(
                "Children",
                "none",
                "Fewer than before: a pod is missing.",
                Query(total(metrics.POOL_SIZE), "of all pools"),
            ),
            number(
                "Children at work",
                "percentunit",
                "All of them all the time while messages wait: add workers.",
                Query(f"{total(metrics.TASKS_ACTIVE)} / {total(metrics.POOL_SIZE)}", "of all"),
                red=0.95,
            ),
            number(
                "Children that died at work in an hour",
                "short",
                "Out of memory, or one message that kills them: EduGraphTasksFail in the runbook.",
                Query(increase(metrics.TASKS, "1h", where='outcome="lost"'), "died"),
                red=1,
            ),
        ),
    ),
    Row(
        "Tasks",
        (
            course(
                "Tasks by outcome",
                "ops",
                "failed: edugraph dead list. put back: a server is away or refuses us. waiting: see the next panel.",
                Query(rate(metrics.TASKS, "outcome"), "{{outcome}}"),
            ),
            course(
                "Tasks that wait, by reason",
                "ops",
                "schema version: finish the upgrade (EduGraphSchemaVersions). provider, budget: edugraph jobs show JOB.",
                Query(rate(metrics.TASKS_WAITING, "queue", "reason"), "{{queue}}: {{reason}}"),
            ),
            course(
                "Tasks by name",
                "ops",
                "A name that is missing while its queue has messages: its worker is of another version.",
                Query(rate(metrics.TASKS, "task"), "{{task}}"),
            ),
            course(
                "Time of a task",
                "s",
                "At 3,300 s a task is ended; long before that, look at the server it works with.",
                *quantiles(metrics.TASK_SECONDS, "task", of=(0.95,)),
                red=3_000,
            ),
            course(
                "Tasks that fail",
                "percentunit",
                "EduGraphTasksFail in the runbook: most often one cause for all.",
                Query(
                    share(
                        rate(metrics.TASKS, "task", where='outcome=~"failed|lost"'),
                        rate(metrics.TASKS, "task", where='outcome=~"succeeded|failed|lost"'),
                    ),
                    "{{task}}",
                ),
                red=0.05,
            ),
            course(
                "Tasks that run",
                "none",
                "The same ones for an hour: they hang on a server that does not answer.",
                Query(total(metrics.TASKS_ACTIVE, "queue"), "{{queue}}"),
            ),
            course(
                "Messages that came a second time",
                "ops",
                "Workers are ended while they work: longer grace, or look why they die.",
                Query(rate(metrics.REDELIVERIES, "queue"), "{{queue}}"),
                red=0.1,
            ),
        ),
    ),
    Row(
        "Processes",
        (
            course(
                "Connections to the broker",
                "none",
                "More than one a day for each worker: the network, or RabbitMQ restarts.",
                Query(f"sum by (instance) ({series(metrics.CONNECTIONS)})", "{{instance}}"),
            ),
            course(
                "Children started",
                "ops",
                "One for each thousand tasks is as it must be; more: they die, or their memory is full.",
                Query(rate(metrics.CHILDREN, "instance"), "{{instance}}"),
            ),
            course(
                "Up for",
                "s",
                "Minutes only, again and again: kubectl describe pod says why it ended.",
                Query(f"time() - {highest(metrics.STARTED, 'instance')}", "{{instance}}"),
            ),
        ),
    ),
)
