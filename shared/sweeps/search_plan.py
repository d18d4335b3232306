"""`SearchPlan`: how a sweep searches among settings instead of trying all of them."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from shared.config.section import Positive, Section

Objective = Literal["metric", "gap", "bytes", "seconds"]
SEARCH = "sweep.search"  # how messages name it


class SearchPlan(Section):
    """A search by Optuna among the values and intervals of a plan's grid.

    Attributes
    ----------
    trials : int
        How many choices of settings are tried, each with every seed of the plan.
    sampler : {"tpe", "cmaes", "nsga2", "random"}
        What proposes the next settings: Tree-structured Parzen estimators (Bergstra et al. 2011), CMA-ES
        (Hansen and Ostermeier 2001), NSGA-II (Deb et al. 2002), or chance.
    pruner : {"none", "median", "hyperband"}
        What stops trials whose first rounds are worse than those of others: worse than their median, or by
        Hyperband (Li et al. 2018).
    objectives : tuple of {"metric", "gap", "bytes", "seconds"}
        What is sought, from validation rows and costs alone: the metric that chooses the model (of the
        federated twin in a comparison); the gap to the pooled twin in that metric; bytes to and from the
        server; seconds of training. Several: trials of which none is better in all.
    metric : str, optional
        Another metric than the one that chooses the model, such as ``val/auroc``.
    seed : int
        Of what is proposed.
    """

    trials: Positive = 20
    sampler: Literal["tpe", "cmaes", "nsga2", "random"] = "tpe"
    pruner: Literal["none", "median", "hyperband"] = "none"
    objectives: tuple[Objective, ...] = ("metric",)
    metric: str | None = None
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.metric is not None and not self.metric.startswith("val/"):
            stage = self.metric.partition("/")[0]
            why = {
                "test": "a search must not see the test set, or its result would be chosen by it",
                "train": "rows that a model was trained on do not tell how good it is on others",
            }.get(stage, "it is not known of which rows")
            raise ValueError(f"{SEARCH}.metric={self.metric}: {why}; choose one of validation: val/NAME")
        if not self.objectives or len(set(self.objectives)) < len(self.objectives):
            raise ValueError(f"{SEARCH}.objectives must name at least one objective, each once")
        if len(self.objectives) > 1 and self.pruner != "none":
            raise ValueError(
                f"{SEARCH}.pruner={self.pruner}: with several objectives it is not known which trial is worse; "
                "name one objective, or pruner=none"
            )
        if self.pruner != "none" and self.objectives != ("metric",):
            raise ValueError(
                f"{SEARCH}.pruner={self.pruner} looks at the metric of each round: "
                "it is for objectives=[metric]"
            )
        if len(self.objectives) > 1 and self.sampler == "cmaes":
            raise ValueError(
                f"{SEARCH}.sampler=cmaes is for one objective; choose tpe, nsga2 or random for several"
            )
        return self
