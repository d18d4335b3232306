"""What leaves a site: the allow-list of its own file, held by the real ClientApp."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flwr.app import ArrayRecord, ConfigRecord, Context, Message, MessageType, MetricRecord, RecordDict

from federated.client.app import app
from federated.client.egress import Declared, egress_filter, filter_content
from federated.kit.federation_file import COUNTS, MayLeave
from federated.messages.parse import read_error, read_info, read_points
from federated.messages.records import (
    ARRAYS,
    CLIENT,
    CONFIG,
    POINTS,
    ClientInfo,
    TrainOrder,
    array_of,
    arrays_of,
)
from federated.messages.records import METRICS as METRIC_RECORD
from federated.messages.wire import layout_of
from shared.config.config import Config
from shared.data.profile import Moments, Profile
from shared.data.schema import Schema
from shared.metrics.catalogue import BY_CLIENTS
from shared.model.backbones import build_network
from shared.runtime.errors import FederationError
from shared.runtime.home import Home
from simulations.engine.in_process import InProcessGrid
from tests.federated.federation_kit import MakeConfig
from tests.profiles import labelled

SITE = """
name: Ward-7
server: 127.0.0.1:9443
partition_id: 5
node_port: 9094
data_path: {path}
may_leave:
  metrics: {metrics}
  counts: {counts}
may_run: {may_run}
"""


@pytest.fixture
def site_file(tmp_path: Path, two_classes: Path) -> Any:
    def write(*, metrics: Any = BY_CLIENTS, counts: Any = COUNTS, may_run: Any = ()) -> Path:
        path = tmp_path / "site.yaml"
        lists = {"metrics": json.dumps(metrics), "counts": json.dumps(counts)}
        path.write_text(SITE.format(path=two_classes, may_run=json.dumps(may_run), **lists))
        return path

    return write


def ask(
    cfg: Config, kind: str, site_file: Path, *, extra: dict[str, ArrayRecord] | None = None, **order: Any
) -> RecordDict:
    config: dict[str, str | int] = {
        "partition-id": 5,
        "num-partitions": 6,
        "site": "Ward-7",
        "data-path": cfg.data.path or "",
        "site-file": str(site_file),
    }
    grid = InProcessGrid(app, num_clients=1, node_configs={0: config})
    content = RecordDict({CONFIG: TrainOrder(snapshot=json.dumps(cfg.snapshot()), **order).to_record()})
    if kind != MessageType.QUERY:
        content[ARRAYS] = arrays_of(build_network(cfg, num_outputs=2))
        for name, record in (extra or {}).items():
            content[name] = record
    (reply,) = grid.send_and_receive([Message(content, 1000, kind)])
    return reply.content


def test_only_listed_metrics_leave(make_config: MakeConfig, home: Home, site_file: Any) -> None:
    path = site_file(metrics=["loss", "auroc"])
    for kind, stage in ((MessageType.TRAIN, "train"), (MessageType.EVALUATE, "val")):
        content = ask(make_config(), kind, path, round=1)
        points = read_points(content, stage=stage, round=1, client_id=5, epochs=2)  # type: ignore[arg-type]
        assert {point.name for point in points} <= {"loss", "auroc"}
        assert "loss" in {point.name for point in points}


def test_the_file_counts_from_the_moment_it_is_changed(
    make_config: MakeConfig, home: Home, site_file: Any
) -> None:
    for metrics in (["loss", "recall"], ["loss"]):
        content = ask(make_config(), MessageType.EVALUATE, site_file(metrics=metrics), round=1)
        points = read_points(content, stage="val", round=1, client_id=5, epochs=2)
        assert [point.name for point in points] == metrics


def test_counts_that_stay(make_config: MakeConfig, home: Home, site_file: Any) -> None:
    content = ask(make_config(), MessageType.QUERY, site_file(counts=["num_examples"]))
    info = read_info(Message(content, 1, MessageType.QUERY))
    assert (info.name, info.client_id, info.num_partitions) == ("Ward-7", 5, 0)
    assert (info.num_examples, info.profile, info.num_val) == (120, labelled(), 0)
    everything = ask(make_config(), MessageType.QUERY, site_file())
    info = read_info(Message(everything, 1, MessageType.QUERY))
    assert (info.profile, info.num_val) == (labelled(60, 60), 60)


def test_each_part_of_a_profile_is_let_out_by_its_own_name() -> None:
    profile = Profile({"label": {"a": 3}}, {"age": (18.0, 91.0)}, {"age": 1}, {"age": Moments(2, 40.0, 8.0)})
    info = ClientInfo(0, 0, "Ward-7", Schema(), num_examples=3, profile=profile, num_val=1)
    parts = (("label_counts", "counts"), ("spans", "spans"), ("missing", "missing"), ("moments", "moments"))
    for count, kept in parts:
        content = filter_content(
            RecordDict({CLIENT: info.to_record()}), MayLeave(counts=("num_examples", count))
        )
        found = read_info(Message(content, 1, MessageType.QUERY)).profile
        assert found == Profile(**{kept: getattr(profile, kept)})


def test_statistics_stay_where_they_are_not_listed(make_config: MakeConfig, home: Home, site_file: Any) -> None:
    cfg = make_config()
    listed = ask(cfg, MessageType.EVALUATE, site_file(), round=1)
    kept = ask(cfg, MessageType.EVALUATE, site_file(counts=["num_examples", "num_val"]), round=1)
    assert set(listed) - set(kept) == {"statistics"}
    # All metrics follow from them: who keeps one back keeps these back too.
    few = ask(cfg, MessageType.EVALUATE, site_file(metrics=["loss"]), round=1)
    assert set(few) == set(kept)


def test_what_the_algorithm_declares_leaves_and_its_state_stays(
    make_config: MakeConfig, home: Home, site_file: Any
) -> None:
    cfg = make_config("strategy=scaffold")
    control = ArrayRecord(
        {k: array_of(0 * v.numpy()) for k, v in arrays_of(build_network(cfg, num_outputs=2)).items()}
    )
    content = ask(cfg, MessageType.TRAIN, site_file(), extra={"control": control}, round=1, run_key="0" * 32)
    assert sorted(content.array_records) == [ARRAYS, "control"]
    plain = ask(make_config(), MessageType.TRAIN, site_file(), round=1)
    assert sorted(plain.array_records) == [ARRAYS]


def test_arrays_that_are_not_like_the_models_do_not_leave() -> None:
    model = ArrayRecord({"weight": array_of(np.zeros(3, dtype=np.float32))})
    declared = Declared(records=dict.fromkeys((ARRAYS, "control"), layout_of(model)))

    def filtered(**arrays: Any) -> RecordDict:
        record = ArrayRecord({key: array_of(values) for key, values in arrays.items()})
        return filter_content(
            RecordDict({ARRAYS: model, "control": record, "images": model}), MayLeave(), declared=declared
        )

    assert sorted(filtered(weight=np.ones(3, dtype=np.float32))) == [ARRAYS, "control"]
    for arrays in (
        {"pixels": np.ones(3, dtype=np.float32)},
        {"weight": np.ones(4, dtype=np.float32)},
        {"weight": np.ones(3)},
    ):
        with pytest.raises(FederationError, match="of control is not like one that is expected"):
            filtered(**arrays)


@pytest.mark.parametrize(
    ("section", "base"),
    [
        ("strategy", "federated.strategy.base.Algorithm"),
        ("task", "shared.tasks.image_classification.task.ImageClassification"),
    ],
)
def test_a_component_that_the_site_does_not_allow_is_not_even_imported(
    section: str,
    base: str,
    make_config: MakeConfig,
    home: Home,
    site_file: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module, name = f"foreign_{section}", base.rpartition(".")[2]
    (tmp_path / f"{module}.py").write_text(
        f"from pathlib import Path\nfrom {base.removesuffix('.' + name)} import {name}\n"
        f"Path(__file__).with_name('imported').touch()\nclass Foreign({name}): pass\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    cfg = make_config(f"{section}._target_={module}.Foreign")
    for kind in (MessageType.QUERY, MessageType.TRAIN):
        error = read_error(ask(cfg, kind, site_file(), round=1))
        assert "may not run here" in str(error)
    assert not (tmp_path / "imported").exists()
    content = ask(cfg, MessageType.TRAIN, site_file(may_run=[module]), round=1)
    assert sorted(content.array_records) == [ARRAYS]


def test_nothing_that_is_not_known_leaves() -> None:
    content = RecordDict(
        {
            METRIC_RECORD: MetricRecord({"num-examples": 3, "secret": 1.0}),
            "patients": ConfigRecord({"names": ["Ann"]}),
            "more": MetricRecord({"x": 1.0}),
            POINTS: ConfigRecord(
                {
                    "stages": ["val", "val"],
                    "names": ["loss", "patient-7"],
                    "values": [1.0, 2.0],
                    "epochs": [0, 0],
                    "counts": [3, 3],
                    "files": ["a.png"],
                }
            ),
        }
    )
    kept = filter_content(content, MayLeave())
    assert sorted(kept) == [METRIC_RECORD, POINTS]
    assert dict(kept.metric_records[METRIC_RECORD]) == {"num-examples": 3}
    assert dict(kept.config_records[POINTS]) == {
        "stages": ["val"],
        "names": ["loss"],
        "values": [1.0],
        "epochs": [0],
        "counts": [3],
    }


def call(site_file: Path, error: Exception) -> Message:
    context = Context(
        run_id=1, node_id=1, node_config={"site-file": str(site_file)}, state=RecordDict(), run_config={}
    )
    message = Message(RecordDict(), 1000, MessageType.TRAIN)
    message.metadata.__dict__["_message_id"] = "1"

    def fail(message: Message, context: Context) -> Message:
        raise error

    return egress_filter(message, context, fail)


def test_an_unforeseen_error_leaves_without_its_text(
    site_file: Any, home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    InProcessGrid(app, num_clients=1)  # says which task this process works on, as Flower's runtime does
    reply = call(site_file(), OSError("cannot read /data/Miller_Ann_1954.png"))
    error = read_error(reply.content)
    assert "Miller" not in str(error)
    assert "OSError at this site; the log of its node says more" in str(error)
    assert "Miller_Ann_1954.png" in capsys.readouterr().err


@pytest.mark.parametrize("text", [None, "name: [", "name: Ward-7"])
def test_without_a_file_that_can_be_read_nothing_leaves(
    make_config: MakeConfig, home: Home, tmp_path: Path, text: str | None
) -> None:
    path = tmp_path / "site.yaml"
    if text is not None:
        path.write_text(text)
    content = ask(make_config(), MessageType.TRAIN, path, round=1)
    assert sorted(content) == ["error"]
    assert str(tmp_path) not in str(read_error(content))
