"""Profiles and maps of clusters in the report, of several models beside each other."""

from __future__ import annotations

import numpy as np
import pytest

from shared.clusters.distances import squared_distances
from shared.data.schema import Column, Schema
from shared.metrics.outputs import Outputs
from shared.tasks.clustering.spec import ClusteringSpec
from simulations.report.panels import panel_figures


@pytest.mark.parametrize("clusters", [1, 3, 20])
def test_each_model_has_its_profile_and_its_map(clusters: int) -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(0, 1, (60, 3)) + 4 * rng.integers(0, 2, (60, 1))
    rows[:, 2] = 1.0
    outputs = {
        title: Outputs(np.concatenate([squared_distances(rows, rows[:clusters]), rows], axis=1), np.zeros(60))
        for title in ("pooled", "federated")
    }
    names = ("age", "$x$", "same")
    spec = ClusteringSpec(Schema(inputs=tuple(Column(name, "numeric") for name in names)), clusters=clusters)
    figures = panel_figures({title: spec.panels(own) for title, own in outputs.items()}, outputs, seed=1)
    assert [*figures] == ["cluster_profiles", "cluster_map"]
    for figure in figures.values():
        figure.figure.draw_without_rendering()
    profiles, places = (figures[name].table for name in figures)
    assert len(profiles.rows) == 2 * clusters * 3
    assert len(places.rows) == 2 * 60
    assert {row[1] for row in places.rows} <= {*map(str, range(clusters))}
