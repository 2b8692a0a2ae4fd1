"""The model's side: what is read, what it waits for, what it costs."""

from panels import Query, Row, course, highest, increase, mean, number, quantiles, rate, share

from edugraph_common.runtime.service import metrics

TITLE = "EduGraph / Analyzer and provider"
ABOUT = "Records read by the model, the provider's limit and answers, cache, packs and money."

ROWS = (
    Row(
        "What is read",
        (
            course(
                "Records analysed a second",
                "ops",
                "Many unanswered: edugraph jobs show JOB has the first reasons.",
                Query(rate(metrics.ANALYSES, "outcome"), "{{outcome}}"),
                width=6,
            ),
            course(
                "By kind",
                "ops",
                "A kind that stands still while others go on: its model, or a prompt that it refuses.",
                Query(rate(metrics.ANALYSES, "kind"), "{{kind}}"),
                width=6,
            ),
            number(
                "Records still to be analysed",
                "short",
                "Of all open jobs. At the provider's limit, divide by the records analysed a second: so long it takes.",
                Query(highest(metrics.ANALYSIS_WAITING), "records"),
            ),
            course(
                "How long messages waited",
                "s",
                "Hours are normal when a large import is analysed: the provider's limit sets the pace.",
                *quantiles(metrics.QUEUE_WAIT, where='queue="llm_analysis"', of=(0.5, 0.95)),
                red=14_400,
                width=6,
            ),
        ),
    ),
    Row(
        "The limit",
        (
            course(
                "Places used of the limit",
                "percentunit",
                "At 1 the limit is the brake: raise EDUGRAPH_REQUESTS_PER_MINUTE if the account allows it.",
                Query(
                    f"{rate(metrics.LIMITER_WAIT, 'model', suffix='_count')} * 60 / on (model) "
                    + highest(metrics.LIMITER_LIMIT, "model", where='unit="requests"'),
                    "{{model}}",
                ),
                red=1,
            ),
            course(
                "Wait for a place",
                "s",
                "Long waits mean that more is asked than the limit allows; more workers would not help.",
                *quantiles(metrics.LIMITER_WAIT, "model", of=(0.5, 0.95)),
            ),
            course(
                "Put off, and pauses after a 429",
                "ops",
                "Any pause: EduGraphProviderLimitExceeded in the runbook; somebody else may use the same key.",
                Query(rate(metrics.LIMITER_REFUSALS, "model"), "put off {{model}}"),
                Query(rate(metrics.LIMITER_PAUSES, "model"), "pauses {{model}}"),
            ),
        ),
    ),
    Row(
        "The provider",
        (
            course(
                "Answers by status",
                "reqps",
                "401 to 403: key or account. 404: the model's name. 5xx, timeout, cut: the provider's own trouble.",
                Query(rate(metrics.PROVIDER_REQUESTS, "status"), "{{status}}"),
            ),
            course(
                "Requests that fail",
                "percentunit",
                "EduGraphProviderFails in the runbook; tasks that used up their tries can be replayed later.",
                Query(
                    share(
                        rate(metrics.PROVIDER_REQUESTS, "model", where='status!~"200|429"'),
                        rate(metrics.PROVIDER_REQUESTS, "model"),
                    ),
                    "{{model}}",
                ),
                red=0.25,
            ),
            course(
                "Time of an answer",
                "s",
                "Near EDUGRAPH_CALL_TIMEOUT_SECONDS: smaller packs, or a quicker model.",
                *quantiles(metrics.PROVIDER_SECONDS, "model", of=(0.5, 0.95)),
                red=50,
            ),
        ),
    ),
    Row(
        "Cache, flights and packs",
        (
            course(
                "Answered from the cache",
                "percentunit",
                "0 after a new prompt or model is as it must be; else look whether Redis evicts keys.",
                Query(
                    share(
                        rate(metrics.CACHE, "kind", where='result="hit"'),
                        rate(metrics.CACHE, "kind"),
                    ),
                    "{{kind}}",
                ),
                width=6,
            ),
            course(
                "Waits for another's answer",
                "ops",
                "Many: the same texts are sent again and again at the same time.",
                Query(rate(metrics.FLIGHT_WAITS, suffix="_count"), "a second"),
                width=6,
            ),
            course(
                "Records in one request",
                "none",
                "Below EDUGRAPH_PACK_SIZE: a request has texts of one student, unless EDUGRAPH_ONE_STUDENT_PER_PACK is false.",
                Query(mean(metrics.PACK_ITEMS, "kind"), "{{kind}}"),
                width=6,
            ),
            course(
                "Asked again",
                "ops",
                "Many: the model does not keep to the form; try a larger one, or smaller packs.",
                Query(rate(metrics.REPAIRS, "way"), "{{way}}"),
                width=6,
            ),
            course(
                "Names left out of answers",
                "ops",
                "Many: the model answers with ids that it was not shown; try a larger one, or fewer EDUGRAPH_KNOWN_POINTS.",
                Query(rate(metrics.DROPPED_NAMES, "kind"), "{{kind}}"),
                width=6,
            ),
        ),
    ),
    Row(
        "Money",
        (
            course(
                "Tokens a second",
                "cps",
                "Output that grows without records: a model that thinks or repeats itself.",
                Query(rate(metrics.TOKENS, "direction"), "{{direction}}"),
            ),
            number(
                "Money spent in an hour",
                "short",
                "In the currency of the price table; EDUGRAPH_BUDGET_PER_JOB bounds each job.",
                Query(increase(metrics.COST, "1h", "model", "kind"), "{{model}} {{kind}}"),
                width=8,
            ),
            number(
                "Looks at budgets in an hour",
                "short",
                "Nearly or spent: EduGraphBudgetNearlyUsed in the runbook; a job without money pauses, it does not fail.",
                Query(increase(metrics.BUDGETS, "1h", "level"), "{{level}}"),
                width=8,
            ),
        ),
    ),
)
