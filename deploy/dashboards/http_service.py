"""The rows of a service that answers over HTTP. Gateway and insights differ in their words and in what is too much."""

from dataclasses import dataclass

from panels import Query, Row, course, highest, number, quantiles, rate, series, share, total

from edugraph_common.runtime.service import metrics


@dataclass(frozen=True)
class HttpService:
    """`name` is the value of the label `service`. The other texts say what to do about a panel, by what it shows.

    `probes_count`: among all answers, of which errors are a share, are those to probes. `too_many`: requests under way.
    """

    name: str
    asked_title: str
    asked: str
    statuses: str
    errors: str
    slow: str
    slow_route: str
    under_way: str
    too_many: int
    processes_title: str
    processes: str
    probes_count: bool = False

    def rows(self) -> tuple[Row, ...]:
        own = f'service="{self.name}"'
        api = f'{own},route!~"/healthz|/readyz"'
        answered = own if self.probes_count else api
        return (
            Row(
                "Answers",
                (
                    course(
                        self.asked_title,
                        "reqps",
                        self.asked,
                        Query(rate(metrics.HTTP_REQUESTS, "route", where=api), "{{route}}"),
                    ),
                    course(
                        "Answers by status",
                        "reqps",
                        self.statuses,
                        Query(rate(metrics.HTTP_REQUESTS, "status", where=api), "{{status}}"),
                    ),
                    course(
                        "Errors of its own",
                        "percentunit",
                        self.errors,
                        Query(
                            share(
                                rate(metrics.HTTP_REQUESTS, where=f'{answered},status=~"5.."'),
                                rate(metrics.HTTP_REQUESTS, where=answered),
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
                        self.slow,
                        *quantiles(metrics.HTTP_SECONDS, where=api),
                        red=5,
                    ),
                    course(
                        "By route",
                        "s",
                        self.slow_route,
                        *quantiles(metrics.HTTP_SECONDS, "route", where=api, of=(0.95,)),
                        red=5,
                    ),
                    course(
                        "Requests under way",
                        "none",
                        self.under_way,
                        Query(total(metrics.HTTP_ACTIVE, where=own), "now"),
                        red=self.too_many,
                    ),
                ),
            ),
            Row(
                "Processes",
                (
                    number(
                        self.processes_title,
                        "none",
                        self.processes,
                        Query(f"count({series(metrics.BUILD, own)})", "up"),
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
