"""JSON schemas of runs, rows and members of a comparison, as pydantic models."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

NotFinite = Literal["nan", "inf", "-inf"]
TrainingMode = Literal["centralized", "federated", "local", "compare", "sweep"]
Status = Literal["pending", "running", "completed", "failed", "stopped"]
Stage = Literal["train", "val", "test"]
Unit = Literal["round", "epoch"]
Better = Literal["higher", "lower"]
Role = Literal["pooled", "federated", "local"]


class Shape(BaseModel):
    """A JSON object without further keys."""

    model_config = ConfigDict(extra="forbid")


class Row(Shape):
    """One metric value."""

    id: int = Field(description="Increases within a run; used as the stream's cursor.")
    client_id: int | None = Field(description="null: the whole model, or an aggregate over clients.")
    round: int | None
    epoch: int | None
    stage: Stage
    name: str
    value: float | None = Field(description="null where it is not finite.")
    not_finite: NotFinite | None = Field(default=None, description="Present only if value is null.")
    num_examples: int | None
    time: datetime


class Progress(Shape):
    """Progress of a run."""

    unit: Literal["round", "epoch", "trial"]
    done: int
    total: int | None


class Monitor(Shape):
    """The metric that selects the best model."""

    key: str = Field(examples=["val/accuracy"])
    mode: Literal["min", "max"] | None = Field(description="null where the better direction is not known.")


class Best(Shape):
    """The best value of the monitored metric so far."""

    key: str
    value: float | None


class GapText(Shape):
    """The numbers of a gap as every reader is shown them."""

    pooled: str
    federated: str
    local: str | None
    gap: str = Field(examples=["+0.004"])
    interval: str = Field(examples=["[+0.001, +0.008]"], description="Empty where there is none.")
    pooled_interval: str
    federated_interval: str
    verdict: str = Field(examples=["▲ worse"])
    counted: str = Field(examples=["57 test patients, 3 seeds"], description="What the interval is from.")


class FinalGap(Shape):
    """One metric of the final test, over all seeds of a finished comparison."""

    metric: str
    label: str
    pooled: float | None
    federated: float | None
    local: float | None
    gap: float | None = Field(
        description="What federation costs: positive is worse, negative better, whichever direction the metric "
        "has (pooled minus federated where neither direction is better)."
    )
    low: float | None = Field(description="Ends of the gap's interval; null where it has none.")
    high: float | None
    better: Better | None
    confidence: float
    verdict: Literal["worse", "better", "equal", "unclear", "undefined"]
    groups: int | None = Field(description="Independent groups of test rows behind it; null if not stored.")
    group: str = Field(examples=["patient"], description="What a group is; row where each row is one.")
    seeds: int | None = Field(description="Runs of each mode behind it; null if not stored.")
    text: GapText


class RunSummary(Shape):
    """One run, as a list shows it."""

    id: int
    name: str
    description: str
    tags: list[str] = Field(description="Words that users gave it, in the order in which they did.")
    training_mode: TrainingMode
    status: Status
    seed: int
    parent_id: int | None = Field(description="The comparison or sweep that the run belongs to.")
    sweep_id: int | None = Field(
        description="The sweep whose trial the run is; null of others, as of their twins."
    )
    started: datetime
    ended: datetime | None
    seconds: float = Field(description="From start to end, or until now.")
    error: str | None
    stop_reason: str | None
    host: str
    data: str | None
    model: str | None
    strategy: str | None = Field(description="null unless federated.")
    client_name: str | None = Field(description="What the client of a local run is called; null of others.")
    progress: Progress | None = Field(description="null for a comparison.")
    planned_runs: int | None = Field(
        description="Total number of runs of a comparison, or trials of a sweep; null otherwise."
    )
    monitor: Monitor
    best: Best | None
    gap: FinalGap | None = Field(description="The headline of a finished comparison; null of other runs.")
    sparkline: list[float | None] = Field(description="The monitored metric, at most 60 values.")
    last_event: datetime | None = Field(description="Time of the newest metric.")


class RoundRecord(Shape):
    """One server round."""

    round: int
    began: datetime
    ended: datetime
    sampled: list[int] = Field(description="Client ids.")
    replied: list[int]
    failed: dict[int, str] = Field(description="Reasons by client id.")
    bytes_down: int
    bytes_up: int
    seconds: float


class Evaluation(Shape):
    """The global model evaluated on the server's held-out data."""

    round: int
    loss: float | None = Field(description="null where it is not finite.")
    metrics: dict[str, float | None] = Field(description="null where they are not finite.")
    not_finite: dict[str, NotFinite] | None = Field(
        default=None, description="Original values of the null entries; present only if there are any."
    )
    confusion: list[list[int]] | None = Field(description="confusion[true][predicted]")
    true_positives: int | None
    true_negatives: int | None
    false_positives: int | None
    false_negatives: int | None
    num_examples: int


class Profile(Shape):
    """What a client says of its training examples; each part may be empty."""

    counts: dict[str, dict[str, int]] = Field(description="Examples of each value, by the variable's name.")
    spans: dict[str, tuple[float, float]] = Field(description="Smallest and largest value, by name.")
    missing: dict[str, int] = Field(description="Examples without a value, by name.")
    moments: dict[str, tuple[int, float, float]] = Field(
        default={}, description="Number, mean and sum of squared differences from it, by name."
    )


class Client(Shape):
    """One participant of a federated run."""

    client_id: int
    node_id: str
    name: str
    num_examples: int
    profile: Profile


class Member(Shape):
    """One run of a comparison."""

    id: int
    role: Role
    seed: int
    client_id: int | None = Field(description="The client of a local run.")
    client_name: str | None = Field(description="What that client is called.")
    status: Status
    name: str


class Family(Shape):
    """The runs of one comparison, or a single run."""

    parent: int | None
    members: list[Member]


class Trial(Shape):
    """One trial of a sweep."""

    number: int
    settings: list[str] = Field(description="In which it differs from others, but for the seed.")
    seed: int
    status: Literal["waiting", "running", "completed", "failed", "pruned"]
    tries: int
    run_id: int | None = Field(description="null before it has begun.")
    error: str | None
    search: dict[str, Any] | None = Field(
        description="Of a search: what was asked for (`asked`, `params`), and what it reached on validation "
        "rows (`values`), or that its test set was opened (`tested`)."
    )


class Download(Shape):
    """A file of a run."""

    kind: Literal["csv", "json", "parquet", "report", "figure"]
    name: str
    url: str


class RunDetail(RunSummary):
    """One run with everything that its page needs at first."""

    config: dict[str, Any]
    summary: dict[str, Any]
    classes: list[str] | None
    clients: list[Client]
    rounds: list[RoundRecord]
    evaluations: list[Evaluation]
    family: Family
    trials: list[Trial] = Field(description="Of a sweep; else empty.")
    latest: list[Row] = Field(description="Newest value of each metric, per client and aggregated.")
    cursor: int = Field(description="The highest id in latest.")
    downloads: list[Download]
    kept: list[Literal["log", "resources"]] = Field(
        description="What there is of the run on this machine, beside its predictions and downloads."
    )


class Runs(Shape):
    """One page of the list of runs."""

    runs: list[RunSummary]
    next: int | None = Field(description="Pass as `before` to get the next page; null on the last page.")


class DifferingSettings(Shape):
    """The settings in which some runs differ."""

    settings: dict[str, dict[int, str | int | float | bool | None]] = Field(
        description="By the setting's name, its value in each run by id; null also means not set."
    )


class Rows(Shape):
    """Rows of a run after a cursor."""

    rows: list[Row]
    cursor: int = Field(description="Pass as `after` to continue, here or on the stream.")
    more: bool


class Health(Shape):
    """Whether the server can read its database."""

    status: Literal["ok"]
    version: str
    database: Literal["sqlite", "postgresql"]
    time: datetime
