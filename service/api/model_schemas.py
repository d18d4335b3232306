"""JSON schemas of the model registry, as pydantic models."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from service.read.schemas import Shape

Ref = Annotated[str, StringConstraints(min_length=1, max_length=60)]
Alias = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,39}$")]


class RegisteredModel(Shape):
    """A model and what its aliases name."""

    name: str
    threshold: str = Field(description="What production must reach; empty: not set yet.", examples=["f1>=0.7"])
    created: datetime
    latest: str | None = Field(description="Newest version; null where all were deleted.", examples=["1.2.0"])
    versions: int = Field(description="How many there are.")
    aliases: dict[str, str] = Field(description="Versions by alias.", examples=[{"production": "1.1.0"}])


class RegisteredModels(Shape):
    """One page of the list of models, by name."""

    models: list[RegisteredModel]
    next: str | None = Field(description="Pass as `after` to get the next page; null on the last page.")


class ModelEvent(Shape):
    """A change of an alias, or of the threshold."""

    kind: Literal["promoted", "rolled_back", "removed", "threshold"]
    alias: str | None
    version: str | None = Field(description="That the alias names from then on.")
    detail: str
    time: datetime


class ModelDetail(RegisteredModel):
    """A model with its history, newest first."""

    history: list[ModelEvent]


class ModelVersion(Shape):
    """One version: what a completed run trained."""

    model: str
    version: str
    run_id: int = Field(description="Its run: /api/runs/ID.")
    run_name: str
    mode: Literal["pooled", "federated"]
    aliases: list[str]
    reason: str = Field(description="Why it has this number.")
    created: datetime
    test: dict[str, float | None] = Field(description="Metrics on the test rows.")


class ModelVersions(Shape):
    """One page of the versions of a model, newest first."""

    versions: list[ModelVersion]
    next: str | None = Field(description="Pass as `before` to get the next page; null on the last page.")


class ModelCard(Shape):
    """What the users of a version should know; see docs/models.md."""

    model: str
    version: str
    run_id: int
    reason: str
    created: datetime
    aliases: list[str]
    run: dict[str, Any]
    task: str | None
    table_schema: dict[str, Any] = Field(alias="schema", description="Classes, inputs and targets.")
    data: dict[str, Any]
    metrics: dict[str, Any]
    gap: dict[str, Any] | None = Field(description="Of the comparison that the run belongs to.")
    clients: list[dict[str, Any]] = Field(description="Spread over the clients, by metric.")
    warnings: list[str]
    limits: str
    weights_sha256: str | None = Field(description="null where the weights are not on this machine.")
    config: dict[str, Any]


class Promotion(Shape):
    """The version that an alias shall name."""

    version: Ref = Field(default="latest", description="A number, an alias, or latest.", examples=["1.2.0"])


class ThresholdChange(Shape):
    """What a version must reach to be promoted to production."""

    threshold: Annotated[str, StringConstraints(min_length=1, max_length=200)] = Field(
        examples=["f1>=0.7,recall>=0.8"], description="Conditions joined by commas, or none."
    )


class ComparisonRequest(Shape):
    """Two versions of the model."""

    first: Ref = Field(examples=["production"])
    second: Ref = Field(examples=["candidate"])
    confidence: float = Field(default=0.95, gt=0.5, lt=1.0)


class MetricDifference(Shape):
    """One metric of two versions."""

    metric: str
    label: str
    first: float | None
    second: float | None
    difference: float | None = Field(description="Second minus first.")
    low: float | None
    high: float | None
    better: Literal["higher", "lower"] | None
    confidence: float
    verdict: Literal["better", "worse", "equal", "unclear", "undefined"] = Field(description="Of the second.")
    text: dict[str, str]


class VersionComparison(Shape):
    """Two versions on the test rows of both."""

    first: ModelVersion
    second: ModelVersion
    sentence: str
    metrics: list[MetricDifference]


ExportFormat = Literal["pt2", "onnx", "safetensors", "json", "executorch"]


class ExportRequest(Shape):
    """The format that a version shall be exported in."""

    format: ExportFormat


class ExportedModel(Shape):
    """A file that predicts what the version does."""

    model: str
    version: str
    run_id: int
    format: ExportFormat
    bytes: int
    difference: float = Field(description="Largest, of a prediction, from the model's; 0.0001 is allowed.")
    rows: int = Field(description="On how many rows it was checked.")


class FormatState(Shape):
    """Whether models can be exported in a format here."""

    format: ExportFormat
    available: bool
    reason: str | None = Field(description="Why it is not available.")


class FormatStates(Shape):
    """All formats."""

    formats: list[FormatState]


class PredictionsOf(Shape):
    """What a version predicts, one object a row, as `fedtwin predict --format json` prints it."""

    model: str
    version: str
    run_id: int
    noun: str = Field(description="The key of each row's name.", examples=["file"])
    predictions: list[dict[str, Any]]
