"""JSON schemas of curves, comparisons and predictions, as pydantic models."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, Field

from service.read.schemas import Better, FinalGap, Member, Shape, Stage, Unit


class Metric(Shape):
    """What is known of a metric."""

    name: str
    label: str = Field(examples=["AUROC"])
    better: Better | None = Field(description="null where neither direction is better.")
    low: float | None = Field(description="Least possible value; null where there is none.")
    high: float | None = Field(description="Largest possible value; null where there is none.")
    unit: str = Field(examples=["s", "B"], description="Empty for a plain number.")
    description: str
    source: Literal["outputs", "training", "server"]
    of_positive: bool = Field(
        description="Of two classes, it is of the positive one, whose name belongs to it."
    )


class Catalogue(Shape):
    """All metrics, in the order in which they are shown."""

    metrics: list[Metric]


class Series(Shape):
    """One curve: a metric of a stage, of one client or aggregated."""

    stage: Stage
    name: str
    client_id: int | None
    unit: Unit
    x: list[int] = Field(description="Rounds or epochs, ascending.")
    y: list[float | None] = Field(description="null where the value is not finite.")
    num_examples: list[int | None]
    time: list[int] = Field(description="Milliseconds since 1970.")
    total: int = Field(description="Number of stored values.")
    sampled: bool = Field(description="Whether the curve was downsampled; minima and maxima are kept.")


class SeriesList(Shape):
    """The curves of a run."""

    cursor: int = Field(description="Rows with a greater id are not included.")
    series: list[Series]


class Steps(Shape):
    """The x-axes of a run, as columns."""

    unit: Unit
    step: list[int]
    examples: list[int] = Field(description="Cumulative training examples seen, repeats counted.")
    seconds: list[float | None] = Field(description="Since the start of the run.")
    bytes: list[int | None] = Field(description="Cumulative traffic, up and down; null where nothing is sent.")


class ComparedRun(Member):
    """One run of a comparison with the curve of the chosen metric, as columns."""

    label: str = Field(examples=["Pooled, seed 42"])
    group: str = Field(
        examples=["federated", "federated-2"],
        description="Runs of one role that differ in the seed only; plotted as one mean line.",
    )
    differs: str = Field(
        examples=["strategy.name=fedprox"],
        description="Settings in which the group differs from others of its role; empty if it is alone.",
    )
    unit: Unit
    sampled: bool = Field(description="Whether the curve was downsampled; minima and maxima are kept.")
    step: list[int]
    examples: list[int]
    seconds: list[float | None]
    bytes: list[int | None]
    value: list[float | None]
    test: float | None = Field(description="Value in the final test.")
    apart: str = Field(
        description="Why the curve cannot be compared with the others and is not drawn; empty if it can."
    )


class PairGap(Shape):
    """The gap of one pair; positive is worse."""

    seed: int
    of: int = Field(description="The pooled run.")
    against: int = Field(description="The federated run.")
    step: list[int]
    examples: list[int]
    seconds: list[float | None]
    bytes: list[float | None]
    value: list[float]


class Gap(Shape):
    """By how much federated is worse than pooled, paired by seed, at equal training examples seen."""

    group: str = Field(description="Group of the federated runs.")
    of: list[int] = Field(description="The pooled runs.")
    against: list[int] = Field(description="The federated runs, in the same order.")
    step: list[int] = Field(description="Rounds of the federated runs.")
    examples: list[int]
    seconds: list[float | None]
    bytes: list[float | None]
    value: list[float] = Field(
        description="Mean over the pairs; positive is worse (pooled minus federated where neither is better)."
    )
    low: list[float | None]
    high: list[float | None]
    pairs: list[int] = Field(description="Number of pairs behind each value.")
    band: Literal["seeds"] | None
    confidence: float
    why: str = Field(description="What the band is, or why there is no band or no gap.")
    yet: bool = Field(description="Whether there is no gap yet, but one may follow.")
    notes: list[str] = Field(
        description="Notes to show with the gap, such as settings in which the pairs differ."
    )
    each: list[PairGap] = Field(description="Each pair, if there are too few for a band.")
    test: float | None = Field(
        description="Mean gap of the final test, positive is worse; null until all pairs are tested."
    )


class SiteGain(Shape):
    """What one site gains, as means over the seeds."""

    client_id: int
    name: str
    num_examples: int = Field(description="Training rows.")
    alone: float | None = Field(description="The model that the site trained alone, on the test rows.")
    federated: float | None
    gain: float | None = Field(description="Turned so that positive is better for the site.")
    low: float | None
    high: float | None
    own_alone: float | None = Field(description="On the site's own validation rows.")
    own_federated: float | None
    own_gain: float | None
    pooled: float | None = None
    fine_tuned: float | None = Field(None, description="The federated model, trained on at the site.")
    pooled_low: float | None = None
    pooled_high: float | None = None
    federated_low: float | None = None
    federated_high: float | None = None
    alone_low: float | None = None
    alone_high: float | None = None
    fine_tuned_low: float | None = None
    fine_tuned_high: float | None = None
    tuned_gain: float | None = Field(None, description="As `gain`, of the fine-tuned model.")
    tuned_low: float | None = None
    tuned_high: float | None = None
    num_test: int | None = Field(None, description="Test rows; null in comparisons of earlier versions.")
    groups: int | None = Field(None, description="Independent groups among them, such as patients.")
    note: str | None = Field(None, description="Why the test rows give no value.")


class SiteCross(Shape):
    """Each model on the test rows of each site, as means over the seeds."""

    models: list[str]
    tests: list[str] = Field(description="Sites, then all test rows together.")
    values: list[list[float | None]] = Field(description="A row a model, a column a site.")


class SiteGains(Shape):
    """What joining brings each site, in one metric."""

    metric: str
    better: Better | None
    confidence: float
    rows: list[SiteGain]
    tests: Literal["own", "common"] = Field(
        "common", description="Whose test rows: each site's own, or the same for all."
    )
    cross: SiteCross | None = Field(None, description="null where all sites have the same test rows.")


class Words(Shape):
    """A part of a sentence."""

    text: str
    strong: bool


class Comparison(Shape):
    """Runs side by side."""

    metric: str
    positive: str | None = Field(description="Of two classes, the one that recall and the like are of.")
    better: Better | None
    result: list[Words] = Field(description="What came out so far, in a sentence.")
    stage: Stage
    metrics: list[str] = Field(description="Metrics that all runs have in this stage.")
    runs: list[ComparedRun]
    gaps: list[Gap] = Field(description="One per group of federated runs; empty without pooled runs.")
    final: list[FinalGap] = Field(description="Empty unless all twins of one finished comparison are included.")
    site_gains: SiteGains | None = Field(description="null unless sites also trained alone; as for `final`.")
    warnings: list[str] = Field(
        description="What is to be doubted of the tested models, such as a class that is never predicted."
    )
    chosen: str = Field(
        examples=["The 8 best of 20 choices of settings of sweep 12, by validation accuracy."],
        description="Which trials of a sweep are shown; empty where all are.",
    )


class Roc(Shape):
    """Receiver operating characteristic of class 1 of two."""

    fpr: list[float]
    tpr: list[float]
    threshold: list[float | None] = Field(description="null: above every probability.")
    auroc: float


class RocOfClass(Shape):
    """ROC of one class against the rest."""

    model_config = ConfigDict(extra="forbid", validate_by_name=True)

    class_: str = Field(alias="class")
    fpr: list[float]
    tpr: list[float]
    auroc: float


class PrecisionRecall(Shape):
    """Precision against recall, of class 1 of two."""

    recall: list[float]
    precision: list[float]
    threshold: list[float | None]
    average_precision: float


class Calibration(Shape):
    """Reliability diagram: mean confidence and accuracy by bin of confidence."""

    lower: list[float]
    upper: list[float]
    confidence: list[float | None]
    accuracy: list[float | None]
    count: list[int]
    ece: float = Field(description="Expected calibration error.")


class Sweep(Shape):
    """Confusion counts at thresholds from 0 to 1 in steps of 0.01."""

    threshold: list[float]
    tp: list[int]
    fp: list[int]
    tn: list[int]
    fn: list[int]


class ClassScore(Shape):
    """One class against the rest, on the test rows."""

    model_config = ConfigDict(extra="forbid", validate_by_name=True)

    class_: str = Field(alias="class")
    support: int = Field(description="Test rows of the class.")
    precision: float | None = Field(description="null where the class is never predicted.")
    recall: float | None = Field(description="null where no row is of the class, as for f1 and auroc.")
    f1: float | None
    auroc: float | None


class PredictionCurves(Shape):
    """Curves and confusion matrix of a model's test predictions."""

    threshold: float
    classes: list[str]
    num_examples: int
    roc: Roc | None = Field(description="null unless there are exactly two classes, both present.")
    pr: PrecisionRecall | None
    calibration: Calibration
    sweep: Sweep | None = Field(description="null unless there are exactly two classes.")
    confusion: list[list[int]] = Field(description="confusion[true][predicted]")
    roc_classes: list[RocOfClass] | None = Field(description="null for two classes.")
    per_class: list[ClassScore]


class Setting(Shape):
    """One setting in which two runs differ; null also means not set."""

    key: str = Field(examples=["trainer.optimizer.lr"])
    left: Any
    right: Any


class Difference(Shape):
    """The settings in which two runs differ."""

    left: int
    right: int
    rows: list[Setting]
