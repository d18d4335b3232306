"""The shapes of curves, comparisons and predictions in JSON, as pydantic models; `schemas` has the runs'."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, Field

from service.api.schemas import Better, Member, Shape, Stage, Unit


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
    """One curve: a metric of a stage, of one client or of the whole model."""

    stage: Stage
    name: str
    client_id: int | None
    unit: Unit
    x: list[int] = Field(description="Rounds or epochs, rising.")
    y: list[float | None] = Field(description="null where the value is not finite.")
    num_examples: list[int | None]
    time: list[int] = Field(description="Milliseconds since 1970.")
    total: int = Field(description="How many values there are.")
    sampled: bool = Field(description="Whether some are left out; minima and maxima stay.")


class SeriesList(Shape):
    """The curves of a run."""

    cursor: int = Field(description="Rows with a greater id are not in the curves.")
    series: list[Series]


class Steps(Shape):
    """The x-axes of a run, as columns."""

    unit: Unit
    step: list[int]
    examples: list[int] = Field(description="Training examples seen so far, repeats counted.")
    seconds: list[float | None] = Field(description="Since the run began.")
    bytes: list[int | None] = Field(description="Sent so far, both ways; null where nothing is sent.")


class ComparedRun(Member):
    """One run of a comparison with the curve of the chosen metric, as columns."""

    label: str = Field(examples=["Pooled, seed 42"])
    group: str = Field(
        examples=["federated", "federated-2"],
        description="Runs of one role that are alike in all but the seed: their mean is one line.",
    )
    differs: str = Field(
        examples=["strategy.name=fedprox"],
        description="In what the group differs from the others of its role; empty where it is the only one.",
    )
    unit: Unit
    step: list[int]
    examples: list[int]
    seconds: list[float | None]
    bytes: list[int | None]
    value: list[float | None]
    test: float | None = Field(description="Of the final test.")


class PairGap(Shape):
    """The same of one pair."""

    seed: int
    of: int = Field(description="The pooled run.")
    against: int = Field(description="The federated run.")
    step: list[int]
    examples: list[int]
    seconds: list[float | None]
    bytes: list[float | None]
    value: list[float]


class Gap(Shape):
    """Pooled minus federated, in pairs of one seed, at the examples that the federated runs have seen."""

    group: str = Field(description="Of the federated runs.")
    of: list[int] = Field(description="The pooled runs.")
    against: list[int] = Field(description="The federated runs, in the same order.")
    step: list[int] = Field(description="Rounds of the federated runs.")
    examples: list[int]
    seconds: list[float | None]
    bytes: list[float | None]
    value: list[float] = Field(description="Mean over the pairs.")
    low: list[float | None]
    high: list[float | None]
    pairs: list[int] = Field(description="How many pairs each value is of.")
    band: Literal["seeds", "normal"] | None
    confidence: float
    why: str = Field(description="What the band is, or why there is none, or no gap at all.")
    notes: list[str] = Field(
        description="Sentences that belong beside the gap: in what the pairs are no twins."
    )
    each: list[PairGap] = Field(description="Each pair, where they are too few for a band.")
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
    metrics: list[str] = Field(description="What all runs have in this stage.")
    runs: list[ComparedRun]
    gaps: list[Gap] = Field(
        description="One a group of federated runs; empty unless there are pooled ones too."
    )
    final: list[FinalGap] = Field(description="Empty unless all twins of one finished comparison are shown.")


class Roc(Shape):
    """Receiver operating characteristic of class 1 of two."""

    fpr: list[float]
    tpr: list[float]
    threshold: list[float | None] = Field(description="null: above every probability.")
    auroc: float


class RocOfClass(Shape):
    """One class against the rest."""

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
    """How often the model is right where it is how sure, by bin."""

    lower: list[float]
    upper: list[float]
    confidence: list[float | None]
    accuracy: list[float | None]
    count: list[int]
    ece: float = Field(description="Expected calibration error.")


class Sweep(Shape):
    """The four counts at each hundredth of a threshold."""

    threshold: list[float]
    tp: list[int]
    fp: list[int]
    tn: list[int]
    fn: list[int]


class PredictionCurves(Shape):
    """What a model said about the test rows."""

    threshold: float
    classes: list[str]
    num_examples: int
    roc: Roc | None = Field(description="null unless there are two classes, both among the rows.")
    pr: PrecisionRecall | None
    calibration: Calibration
    sweep: Sweep | None = Field(description="null unless there are two classes.")
    confusion: list[list[int]] = Field(description="confusion[true][predicted]")
    roc_classes: list[RocOfClass] | None = Field(description="null if there are two classes.")


class Setting(Shape):
    """One setting in which two runs differ; null also stands for none."""

    key: str = Field(examples=["trainer.optimizer.lr"])
    left: Any
    right: Any


class Difference(Shape):
    """The settings in which two runs differ."""

    left: int
    right: int
    rows: list[Setting]
