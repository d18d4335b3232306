"""Clustering: rows of a table in groups that nobody has named."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from shared.config.model import GmmConfig, KMeansConfig
from shared.tasks.clustering.spec import ClusteringSpec
from shared.tasks.task import Task

if TYPE_CHECKING:
    from shared.config.config import Config as RunConfig
    from shared.data.schema import Schema
    from shared.tasks.base import Learner

MOST_CLUSTERS = 1_000


class Clustering(Task):
    """Rows of a table in clusters."""

    class Config(Task.Config):
        """How many clusters there are, and of which model, whose measures they have.

        A run that was stored before there was a choice is of k-means.
        """

        clusters: Annotated[int, Field(ge=1, le=MOST_CLUSTERS)]
        model: str = "kmeans"
        covariance: Literal["diag", "full"] = "diag"

    config: Config
    models = (KMeansConfig, GmmConfig)
    takes = "kmeans or gmm"

    def spec(self, schema: Schema) -> ClusteringSpec:
        """What is measured, told and shown on rows of a schema."""
        own = self.config
        return ClusteringSpec(
            schema,
            clusters=own.clusters,
            is_mixture=own.model == "gmm",
            full=own.covariance == "full",
        )

    def learner(self, cfg: RunConfig) -> Learner:
        """What trains it."""
        from shared.tasks.clustering.learner import ClusteringLearner  # imports torch

        own = self.config
        return ClusteringLearner(self, cfg, clusters=own.clusters, model=own.model, covariance=own.covariance)
