"""The kinds of panels that the dashboards are made of, in one look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from grafana_foundation_sdk.builders import common as builders
from grafana_foundation_sdk.builders import stat, statetimeline, table, timeseries
from grafana_foundation_sdk.builders.dashboard import ThresholdsConfig
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.models import common, dashboard
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

SOURCE = common.DataSourceRef("prometheus", "$datasource")
HEIGHT, STAT_HEIGHT, TABLE_HEIGHT = 8, 4, 6
# Grafana's grid is 24 wide
THIRD, HALF, SIXTH, WHOLE = 8, 12, 4, 24
GOOD, WARNING, BAD, QUIET = "green", "orange", "red", "text"
Panel = stat.Panel | statetimeline.Panel | table.Panel | timeseries.Panel


@dataclass(frozen=True)
class Query:
    """What is drawn, and the name of each of its series: ``{{label}}`` is a label's value."""

    expr: str
    legend: str


@dataclass(frozen=True)
class Limit:
    """From where on a value is bad; with ``is_floor``, below which."""

    value: float
    is_floor: bool = False

    def build(self) -> ThresholdsConfig:
        low, high = (BAD, GOOD) if self.is_floor else (GOOD, BAD)
        steps = [dashboard.Threshold(color=low), dashboard.Threshold(self.value, high)]
        return ThresholdsConfig().mode(dashboard.ThresholdsMode.ABSOLUTE).steps(steps)


def number(title: str, description: str, unit: str, expr: str, limit: Limit | None = None) -> Panel:
    """How much it is now, large, over its line of the last hour."""
    panel = (
        stat.Panel().title(title).description(description).unit(unit).datasource(SOURCE)
        .span(SIXTH).height(STAT_HEIGHT)
        .graph_mode(common.BigValueGraphMode.AREA)
        .reduce_options(builders.ReduceDataOptions().calcs(["lastNotNull"]))
        .thresholds(_plain() if limit is None else limit.build())
        .with_target(_target(Query(expr, title), 0))
    )  # fmt: skip
    return panel.color_mode(common.BigValueColorMode.VALUE)


def lines(
    title: str,
    description: str,
    unit: str,
    *queries: Query,
    stacked: bool = False,
    limit: Limit | None = None,
    colors: Mapping[str, str] | None = None,
    width: int = THIRD,
) -> Panel:
    """Values over time, with last, mean and highest in the legend."""
    panel = (
        timeseries.Panel().title(title).description(description).unit(unit).datasource(SOURCE)
        .span(width).height(HEIGHT).min(0).line_width(1).fill_opacity(30 if stacked else 8)
        .show_points(common.VisibilityMode.NEVER)
        .legend(_legend())
        .tooltip(_tooltip())
        .thresholds(_plain() if limit is None else limit.build())
    )  # fmt: skip
    if stacked:
        panel.stacking(builders.StackingConfig().mode(common.StackingMode.NORMAL))
    if limit is not None:
        line = common.GraphThresholdsStyleMode.DASHED
        panel.thresholds_style(builders.GraphThresholdsStyleConfig().mode(line))
    for name, color in (colors or {}).items():
        panel.override_by_name(name, [_fixed(color)])
    for index, query in enumerate(queries):
        panel.with_target(_target(query, index))
    return panel


def states(
    title: str, description: str, query: Query, names: Sequence[tuple[str, str]], width: int = HALF
) -> Panel:
    """Which of some states something is in, by number, over time; each a name and a color."""
    results = {
        str(index): dashboard.ValueMappingResult(text=text, color=color, index=index)
        for index, (text, color) in enumerate(names)
    }
    return (
        statetimeline.Panel().title(title).description(description).datasource(SOURCE)
        .span(width).height(HEIGHT)
        .show_value(common.VisibilityMode.AUTO)
        .mappings([dashboard.ValueMap(results)])
        .legend(builders.VizLegendOptions().show_legend(show_legend=True)
                .display_mode(common.LegendDisplayMode.LIST)
                .placement(common.LegendPlacement.BOTTOM))
        .with_target(_target(query, 0))
    )  # fmt: skip


def listing(title: str, description: str, expr: str, value: str, width: int = HALF) -> Panel:
    """The labels that something has now, and its value, as a table."""
    tidy = dashboard.DataTransformerConfig(
        id_val="organize", options={"excludeByName": {"Time": True}, "renameByName": {"Value": value}}
    )  # fmt: skip
    target = _target(Query(expr, ""), 0).instant().format(PromQueryFormat.TABLE)
    return (
        table.Panel().title(title).description(description).datasource(SOURCE)
        .span(width).height(TABLE_HEIGHT)
        .with_target(target)
        .with_transformation(tidy)
    )  # fmt: skip


def _target(query: Query, index: int) -> Dataquery:
    target = Dataquery().expr(query.expr).ref_id(chr(ord("A") + index)).datasource(SOURCE)
    return target.legend_format(query.legend).range() if query.legend else target


def _plain() -> ThresholdsConfig:
    steps = [dashboard.Threshold(color=QUIET)]
    return ThresholdsConfig().mode(dashboard.ThresholdsMode.ABSOLUTE).steps(steps)


def _fixed(color: str) -> dashboard.DynamicConfigValue:
    return dashboard.DynamicConfigValue(
        id_val="color", value={"mode": "fixed", "fixedColor": color}
    )


def _legend() -> builders.VizLegendOptions:
    return (
        builders.VizLegendOptions().show_legend(show_legend=True)
        .display_mode(common.LegendDisplayMode.TABLE)
        .placement(common.LegendPlacement.BOTTOM)
        .calcs(["lastNotNull", "mean", "max"])
    )  # fmt: skip


def _tooltip() -> builders.VizTooltipOptions:
    return (
        builders.VizTooltipOptions()
        .mode(common.TooltipDisplayMode.MULTI)
        .sort(common.SortOrder.DESCENDING)
    )
