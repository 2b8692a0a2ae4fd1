"""The broker's side."""

from panels import Query, Row, course, highest, number, quantiles, rate

from edugraph_common.runtime.service import metrics

TITLE = "EduGraph / Queues and dead letters"
ABOUT = "What waits, how long, for whom, and what was given up."

ROWS = (
    Row(
        "Now",
        (
            number(
                "Consumers",
                "none",
                "None where messages wait: EduGraphNobodyConsumes in the runbook.",
                Query(highest(metrics.QUEUE_CONSUMERS, "queue"), "{{queue}}"),
                red=1,
                less=True,
            ),
            number(
                "Dead letters",
                "short",
                "Read their reasons (edugraph dead list), put the cause right, and replay them.",
                Query(highest(metrics.DEAD_LETTERS, "queue"), "{{queue}}"),
                red=1,
            ),
            number(
                "RabbitMQ's alarms",
                "none",
                "1: RabbitMQ takes nothing more; EduGraphBrokerAlarm in the runbook.",
                Query(highest(metrics.BROKER_ALARM, "resource"), "{{resource}}"),
                red=1,
            ),
            number(
                "The broker tells its figures",
                "none",
                "0: the management API cannot be read; EduGraphBlind in the runbook.",
                Query(highest(metrics.BROKER_READ), "readable"),
                red=1,
                less=True,
            ),
        ),
    ),
    Row(
        "Queues",
        (
            course(
                "Messages that wait",
                "short",
                "A line that only rises: workers are missing or slow; past EDUGRAPH_MAX_QUEUE_DEPTH POSTs get 503.",
                Query(highest(metrics.QUEUE_MESSAGES, "queue", where='state="ready"'), "{{queue}}"),
                red=10_000,
            ),
            course(
                "Bytes that wait, of those that fit",
                "percentunit",
                "At 1 the queue refuses messages, and senders get 503: EduGraphQueueFillsUp in the runbook.",
                Query(
                    f"{highest(metrics.QUEUE_BYTES, 'queue')} / "
                    f"{highest(metrics.QUEUE_MOST_BYTES, 'queue')}",
                    "{{queue}}",
                ),
                red=0.8,
            ),
            course(
                "Messages that workers have",
                "short",
                "At most two for each child of a pool; the same for an hour: the tasks do not end.",
                Query(
                    highest(metrics.QUEUE_MESSAGES, "queue", where='state="unacked"'), "{{queue}}"
                ),
            ),
            course(
                "Age of the oldest message",
                "s",
                "EduGraphOldestMessageTooOld in the runbook; analysis may wait for hours, imports may not.",
                Query(highest(metrics.QUEUE_OLDEST, "queue"), "{{queue}}"),
                red=900,
            ),
            course(
                "How long messages had waited when they were begun",
                "s",
                "Longer than before: more load or fewer workers; compare with the tasks that run.",
                *quantiles(metrics.QUEUE_WAIT, "queue", of=(0.5, 0.95)),
            ),
            course(
                "Given out again",
                "ops",
                "Workers die or lose their connection while they work: EduGraphWorkerFlaps in the runbook.",
                Query(rate(metrics.QUEUE_REDELIVERED, "queue"), "{{queue}}"),
                red=0.1,
            ),
            course(
                "Dead letters",
                "short",
                "A step up is one cause: edugraph dead list QUEUE names it.",
                Query(highest(metrics.DEAD_LETTERS, "queue"), "{{queue}}"),
                red=1,
            ),
        ),
    ),
    Row(
        "RabbitMQ itself (its own metrics: port 15692)",
        (
            course(
                "Memory",
                "bytes",
                "Near vm_memory_high_watermark RabbitMQ stops taking messages: fewer waiting messages, or more memory.",
                Query("sum by (instance) (rabbitmq_process_resident_memory_bytes)", "{{instance}}"),
            ),
            course(
                "Disk that is left",
                "bytes",
                "Near disk_free_limit RabbitMQ stops taking messages: enlarge the volume.",
                Query("min by (instance) (rabbitmq_disk_space_available_bytes)", "{{instance}}"),
            ),
            course(
                "Connections",
                "none",
                "A line that only rises: clients that do not close; one that saws: they reconnect all the time.",
                Query("sum by (instance) (rabbitmq_connections)", "{{instance}}"),
            ),
        ),
    ),
)
