"""How our dashboards look: a panel has a title, a unit, a sentence of what to do when it is red, and its queries.

Queries are made from the list of metrics itself, so that a metric that is renamed cannot leave a panel empty.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLinkType,
    DataSourceRef,
    GridPos,
    Threshold,
    ThresholdsMode,
    VariableOption,
    VariableRefresh,
)

from edugraph_common.runtime.service.instruments import Instrument

COLUMNS, HEIGHT, STAT_HEIGHT = 24, 8, 5
SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
RATE = "$__rate_interval"
Unit = Literal[
    "short", "ops", "s", "percentunit", "bytes", "none", "cps", "dateTimeFromNow", "reqps"
]


@dataclass(frozen=True)
class Variable:
    """A choice at the top of a dashboard: the values that `label` has in the series of `metric`."""

    name: str
    title: str
    label: str
    metric: str


RELEASES = (
    Variable("namespace", "Namespace", "namespace", "edugraph_build_info"),
    Variable("release", "Release", "release", 'edugraph_build_info{namespace=~"$namespace"}'),
)
SCHOOL = Variable("school", "School", "release", "edugraph_build_info")
OF_RELEASE = 'namespace=~"$namespace",release=~"$release"'
OF_SCHOOL = 'release=~"$school"'


@dataclass(frozen=True)
class Query:
    """`legend` may name labels: {{queue}}."""

    expression: str
    legend: str = ""


@dataclass(frozen=True)
class Panel:
    """`red`: from which value on; below it if `less`. A number is shown large, a course as lines over time."""

    title: str
    unit: Unit
    do: str
    queries: Sequence[Query]
    kind: Literal["course", "number"] = "course"
    red: float | None = None
    less: bool = False
    width: int = 8


@dataclass(frozen=True)
class Row:
    title: str
    panels: Sequence[Panel] = field(default_factory=tuple)


def course(title: str, unit: Unit, do: str, *queries: Query, **look: Any) -> Panel:
    return Panel(title, unit, do, queries, **look)


def number(title: str, unit: Unit, do: str, *queries: Query, **look: Any) -> Panel:
    return Panel(title, unit, do, queries, kind="number", **{"width": 6, **look})


# Queries. `where` is what stands between the braces besides namespace and release.


def series(instrument: Instrument, where: str = "", suffix: str = "") -> str:
    selector = f"{OF_RELEASE},{where}" if where else OF_RELEASE
    return f"{instrument.full_name}{suffix}{{{selector}}}"


def of_school(expression: str, legend: str) -> Query:
    """Return a query that asks by school in place of namespace and release."""
    return Query(expression.replace(OF_RELEASE, OF_SCHOOL), legend)


def rate(instrument: Instrument, *by: str, where: str = "", suffix: str = "") -> str:
    """A second, over all processes."""
    return f"sum{_by(by)} (rate({series(instrument, where, suffix)}[{RATE}]))"


def increase(instrument: Instrument, span: str, *by: str, where: str = "") -> str:
    return f"sum{_by(by)} (increase({series(instrument, where)}[{span}]))"


def highest(instrument: Instrument, *by: str, where: str = "") -> str:
    """For what every gateway tells alike."""
    return f"max{_by(by)} ({series(instrument, where)})"


def total(instrument: Instrument, *by: str, where: str = "") -> str:
    return f"sum{_by(by)} ({series(instrument, where)})"


def share(part: str, whole: str) -> str:
    """Nothing of nothing is 0."""
    return f"({part}) / ({whole} > 0) or ({whole}) * 0"


def mean(instrument: Instrument, *by: str, where: str = "") -> str:
    return f"{rate(instrument, *by, where=where, suffix='_sum')} / {rate(instrument, *by, where=where, suffix='_count')}"


def quantiles(
    instrument: Instrument, *by: str, where: str = "", of: Iterable[float] = (0.5, 0.95, 0.99)
) -> list[Query]:
    buckets = rate(instrument, "le", *by, where=where, suffix="_bucket")
    names = " ".join(f"{{{{{label}}}}}" for label in by)
    return [
        Query(f"histogram_quantile({q}, {buckets})", f"p{q * 100:g} {names}".strip()) for q in of
    ]


def _by(labels: Sequence[str]) -> str:
    return f" by ({', '.join(labels)})" if labels else ""


# Making them.


def dashboard_json(
    uid: str, title: str, about: str, rows: Sequence[Row], variables: Sequence[Variable]
) -> str:
    """What Grafana imports, the same text each time."""
    made = (
        dashboard.Dashboard(title)
        .uid(f"edugraph-{uid}")
        .description(about)
        .tags(["edugraph"])
        .editable()
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .refresh("30s")
        .time("now-3h", "now")
        .timezone("browser")
        .link(
            dashboard.DashboardLink("EduGraph")
            .tags(["edugraph"])
            .type(DashboardLinkType.DASHBOARDS)
            .as_dropdown(True)
        )
        .with_variable(
            dashboard.DatasourceVariable("datasource").type("prometheus").label("Data source")
        )
    )
    for variable in variables:
        made = made.with_variable(_label(variable))
    for part in _placed(rows):
        made = made.with_row(part) if isinstance(part, dashboard.Row) else made.with_panel(part)
    return JSONEncoder(sort_keys=True, indent=2).encode(made.build()) + "\n"


def _label(variable: Variable) -> dashboard.QueryVariable:
    """All of them at first, also outside of Kubernetes, where there is no such label."""
    everywhere = VariableOption(text="All", value="$__all")
    return (
        dashboard.QueryVariable(variable.name)
        .label(variable.title)
        .datasource(SOURCE)
        .query(f"label_values({variable.metric}, {variable.label})")
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .include_all(True)
        .all_value(".*")
        .current(everywhere)
    )


def _placed(rows: Sequence[Row]) -> Iterator[Any]:
    """From left to right, then the next line; numbers and courses never share one."""
    ids, y = iter(range(1, 10_000)), 0
    for row in rows:
        yield dashboard.Row(row.title).id(next(ids)).grid_pos(_place(0, y, COLUMNS, 1))
        x, y, line = 0, y + 1, 0
        for panel in row.panels:
            height = STAT_HEIGHT if panel.kind == "number" else HEIGHT
            if x + panel.width > COLUMNS or (line and height != line):
                x, y = 0, y + line
            line = height
            yield _built(panel).id(next(ids)).grid_pos(_place(x, y, panel.width, height))
            x += panel.width
        y += line


def _place(x: int, y: int, w: int, h: int) -> GridPos:
    return GridPos(h=h, w=w, x=x, y=y)


def _built(panel: Panel) -> Any:
    made: Any = _number() if panel.kind == "number" else _course(panel)
    made = made.title(panel.title).description(panel.do).unit(panel.unit).datasource(SOURCE).min(0)
    for place, query in enumerate(panel.queries):
        target = (
            prometheus.Dataquery().expr(query.expression).legend_format(query.legend or "__auto")
        )
        made = made.with_target(target.ref_id(chr(ord("A") + place)).datasource(SOURCE))
    return made.thresholds(_thresholds(panel))


def _number() -> Any:
    reduced = common.ReduceDataOptions().calcs(["lastNotNull"])
    return (
        stat.Panel().reduce_options(reduced).color_mode(common_models.BigValueColorMode.BACKGROUND)
    )


def _course(panel: Panel) -> Any:
    legend = (
        common.VizLegendOptions()
        .display_mode(common_models.LegendDisplayMode.LIST)
        .placement(common_models.LegendPlacement.BOTTOM)
        .show_legend(True)
    )
    lines = timeseries.Panel().legend(legend).fill_opacity(10).line_width(1)
    if panel.red is not None:
        style = common.GraphThresholdsStyleConfig().mode(
            common_models.GraphThresholdsStyleMode.DASHED
        )
        lines = lines.thresholds_style(style)
    return lines


def _thresholds(panel: Panel) -> Any:
    before, after = ("red", "green") if panel.less else ("green", "red")
    steps = [Threshold(value=None, color=before if panel.red is not None else "blue")]
    if panel.red is not None:
        steps.append(Threshold(value=panel.red, color=after))
    return dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps)
