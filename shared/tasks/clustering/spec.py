"""`ClusteringSpec`: what is measured, told and shown; imports no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.metrics.clustering import ClusterMetrics
from shared.runtime.counts import count_of
from shared.tasks.clustering.panels import cluster_map_panel, cluster_profile_panel
from shared.tasks.plain_spec import PlainSpec
from shared.tasks.tables.spec import TableSpec

if TYPE_CHECKING:
    from shared.data.profile import Profile
    from shared.data.schema import Schema
    from shared.metrics.outputs import Outputs
    from shared.tasks.panels import Panel


class _Clusters(ClusterMetrics, PlainSpec):
    """Of the inputs nothing, which `TableSpec` adds."""

    def __init__(self, schema: Schema, *, clusters: int, is_mixture: bool, full: bool) -> None:
        from shared.data.tables.prepare import prepared_names

        labels = len(schema.targets[0].levels) if schema.targets else 0
        self.prepared = prepared_names(schema.inputs, indicates=True)
        width = len(self.prepared)
        super().__init__(clusters=clusters, width=width, labels=labels, is_mixture=is_mixture, full=full)


class ClusteringSpec(TableSpec, _Clusters):
    """What is measured, told and shown of rows in clusters.

    Attributes
    ----------
    label : str or None
        The column of labels, which only the agreement looks at.
    """

    def __init__(self, schema: Schema, *, clusters: int, is_mixture: bool = False, full: bool = False) -> None:
        _Clusters.__init__(self, schema, clusters=clusters, is_mixture=is_mixture, full=full)
        self.inputs = schema.inputs
        self.label = schema.targets[0].name if schema.targets else None

    def undefined(self, name: str, profile: Profile, *, stage: str) -> str | None:
        """What compares clusters needs two of them."""
        if self.clusters < 2 and name in ("silhouette", "calinski_harabasz"):
            return f"there is {count_of(self.clusters, 'cluster')}"
        return None

    def panels(self, outputs: Outputs) -> list[Panel]:
        """What is in each cluster, and where rows lie."""
        from shared.data.tables.prepare import prepared_names

        rows, nearest = self.rows(outputs), self.nearest(outputs)
        plain = prepared_names(self.inputs, indicates=False)
        names = plain if rows.shape[1] == len(plain) else self.prepared
        found = [cluster_profile_panel(rows, nearest, names=names, clusters=self.clusters)]
        return [*found, cluster_map_panel(rows, nearest, clusters=self.clusters)]
