"""JSON schemas of curves, comparisons and predictions, as pydantic models."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, Field

from service.read.schemas import Better, Member, Shape, Stage, Unit


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
    step: list[int]
    examples: list[int]
    seconds: list[float | None]
    bytes: list[int | None]
    value: list[float | None]
    test: float | None = Field(description="Value in the final test.")


class PairGap(Shape):
    """The gap of one pair."""

    seed: int
    of: int = Field(description="The pooled run.")
    against: int = Field(description="The federated run.")
    step: list[int]
    examples: list[int]
    seconds: list[float | None]
    bytes: list[float | None]
    value: list[float]


class Gap(Shape):
    """Pooled minus federated, paired by seed, at equal numbers of training examples seen."""

    group: str = Field(description="Group of the federated runs.")
    of: list[int] = Field(description="The pooled runs.")
    against: list[int] = Field(description="The federated runs, in the same order.")
    step: list[int] = Field(description="Rounds of the federated runs.")
    examples: list[int]
    seconds: list[float | None]
    bytes: list[float | None]
    value: list[float] = Field(description="Mean over the pairs.")
    low: list[float | None]
    high: list[float | None]
    pairs: list[int] = Field(description="Number of pairs behind each value.")
    band: Literal["seeds", "normal"] | None
    confidence: float
    why: str = Field(description="What the band is, or why there is no band or no gap.")
    notes: list[str] = Field(
        description="Notes to show with the gap, such as settings in which the pairs differ."
    )
    each: list[PairGap] = Field(description="Each pair, if there are too few for a band.")
    test: float | None = Field(description="Mean gap of the final test; null until all pairs are tested.")


class FinalGap(Shape):
    """One metric of the final test, over all seeds of a finished comparison."""

    metric: str
    pooled: float | None
    federated: float | None
    local: float | None
    gap: float | None
    low: float | None
    high: float | None
    better: Better | None
    confidence: float
    verdict: Literal["worse", "better", "equal", "unclear", "undefined"]


class Words(Shape):
    """A part of a sentence."""

    text: str
    strong: bool


class Comparison(Shape):
    """Runs side by side."""

    metric: str
    better: Better | None
    result: list[Words] = Field(description="What came out so far, in a sentence.")
    stage: Stage
    metrics: list[str] = Field(description="Metrics that all runs have in this stage.")
    runs: list[ComparedRun]
    gaps: list[Gap] = Field(description="One per group of federated runs; empty without pooled runs.")
    final: list[FinalGap] = Field(description="Empty unless all twins of one finished comparison are included.")
    warnings: list[str] = Field(
        description="What is to be doubted of the tested models, such as a class that is never predicted."
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
