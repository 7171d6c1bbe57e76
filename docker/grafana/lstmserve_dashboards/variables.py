"""What a reader chooses at the top of every dashboard."""

from __future__ import annotations

from collections.abc import Sequence

from grafana_foundation_sdk.builders.dashboard import DatasourceVariable, QueryVariable
from grafana_foundation_sdk.models import dashboard

from lstmserve_dashboards.panels import SOURCE

ALL = dashboard.VariableOption(selected=True, text=["All"], value=["$__all"])
LABEL_VALUES = 1  # how Grafana's editor calls such a query
# each offers what there is under the choices before it
CHOICES = {
    "job": "lstmserve_resident_memory_bytes",
    "instance": 'lstmserve_resident_memory_bytes{job=~"$job"}',
    "model": 'lstmserve_model_info{job=~"$job",instance=~"$instance"}',
    "version": 'lstmserve_model_info{job=~"$job",instance=~"$instance",model=~"$model"}',
}


def make_variables() -> Sequence[DatasourceVariable | QueryVariable]:
    """The data source, then which servers and models are shown: all, at first."""
    source = DatasourceVariable("datasource").label("Prometheus").type("prometheus")
    return [source, *(_choice(label, series) for label, series in CHOICES.items())]


def _choice(label: str, series: str) -> QueryVariable:
    query = f"label_values({series}, {label})"
    variable = (
        QueryVariable(label).label(label.capitalize()).datasource(SOURCE)
        .query({"qryType": LABEL_VALUES, "query": query, "refId": label})
        .definition(query)
        .refresh(dashboard.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(dashboard.VariableSort.NATURAL_ASC)
        .multi(multi=True).include_all(include_all=True).current(ALL)
    )  # fmt: skip
    # every job would be the proxy and Prometheus too; of the others "All" is anything, which is
    # shorter than to name them all
    return variable if label == "job" else variable.all_value(".+")
