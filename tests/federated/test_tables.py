"""Sites that each have a table of their own: what they must have in common, and what is said otherwise."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from centralized.train import train
from federated.client.app import app
from federated.kit.site_data import own_data
from federated.kit.site_file import read_site
from shared.config.compose import compose
from shared.config.config import Config
from shared.data.sql import query
from shared.runtime.errors import FedtwinError
from shared.runtime.home import Home
from shared.tasks.task import learner_of
from shared.tracking.store import Store
from simulations.engine.in_process import InProcessGrid
from tests.federated.federation_kit import Federate, Run

SITES = ("north", "south")
Change = Callable[[pd.DataFrame], pd.DataFrame]


def rows_of(site: int, *, size: int = 60, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng((site, seed))
    age = rng.normal(50 + 20 * site, 8, size).round(1)
    pain = rng.choice(["none", "some", "much"], size)
    label = np.where(age + 10 * (pain == "much") + rng.normal(0, 5, size) > 62, "sick", "well")
    return pd.DataFrame(
        {"age": age, "pain": pain, "sick": label, "split": ["train", "train", "val"] * (size // 3)}
    )


@pytest.fixture
def run_sites(tmp_path: Path, federate: Federate) -> Callable[..., Run]:
    """A federation of two sites with tables of their own, of which the second's may be changed."""

    def run(change: Change = lambda frame: frame, *overrides: str) -> Run:
        config = {}
        for site, name in enumerate(SITES):
            frame = rows_of(site)
            frame = change(frame) if site else frame
            frame.to_csv(tmp_path / f"{name}.csv", index=False)
            config[site] = {"data-path": str(tmp_path / f"{name}.csv"), "site": name}
        test = pd.concat([rows_of(site, size=30, seed=1) for site in (0, 1)]).assign(split="test")
        test.to_csv(tmp_path / "test.csv", index=False)
        cfg = config_of(tmp_path / "test.csv", *overrides)
        return federate(cfg=cfg, grid=InProcessGrid(app, num_clients=2, node_configs=config))

    return run


def config_of(path: Path, *overrides: str) -> Config:
    return compose(
        [
            *("task=tabular_classification", f"data.path={path}", "data.target=sick", "model=linear"),
            *("federation.num_clients=2", "federation.num_rounds=2", "trainer.progress=false"),
            *("trainer.accelerator=cpu", "federation.local_epochs=1", *overrides),
        ]
    )


def test_sites_agree_on_the_scaling_of_all_their_rows(run_sites: Callable[..., Run]) -> None:
    run = run_sites()
    ages = pd.concat([rows_of(site).query("split == 'train'") for site in (0, 1)])["age"]
    agreed = run.row.summary["agreed"]["inputs"]
    assert agreed["centers"] == pytest.approx([ages.mean()], abs=1e-5)
    assert agreed["scales"] == pytest.approx([ages.std(ddof=0)], abs=1e-5)
    assert run.row.summary["test"]["auroc"] > 0.8


def test_the_rows_of_all_sites_in_one_file_train_to_the_same_model(
    run_sites: Callable[..., Run], federate: Federate, tmp_path: Path
) -> None:
    sites = run_sites()
    # Clients of the natural partition are in the order of their names.
    parts = [rows_of(site).assign(site=str(site)) for site in (0, 1)]
    test = pd.concat([rows_of(site, size=30, seed=1) for site in (0, 1)]).assign(split="test", site="none")
    together = pd.concat([*parts, test])
    together.to_csv(tmp_path / "all.csv", index=False)
    one = federate(cfg=config_of(tmp_path / "all.csv", "partition=natural"))
    assert one.digest() == sites.digest()


SITE = """
name: {name}
server: 127.0.0.1:9443
partition_id: {site}
node_port: 9094
data_path: null
database: {{url: "sqlite:///{path}", query: "SELECT * FROM readings; -- its own", key: [number]}}
may_leave:
  metrics: [auroc, accuracy, loss, f1, precision, recall, average_precision, calibration_error, lr, seconds]
  counts: [num_examples, label_counts, spans, missing, moments, num_val]
"""


def test_sites_whose_rows_are_in_databases_train_to_the_model_of_files(
    run_sites: Callable[..., Run], federate: Federate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sites, asked, config = run_sites(), [], {}
    for site, name in enumerate(SITES):
        (tmp_path / name).mkdir()
        path = tmp_path / name / "plant.db"
        with closing(sqlite3.connect(path)) as connection:
            rows_of(site).sample(frac=1, random_state=0).to_sql("readings", connection, index_label="number")
        file = tmp_path / name / "site.yaml"
        file.write_text(SITE.format(name=name, site=site, path=path))
        node = dict(re.findall(r'([\w-]+)="?([^"\s]+)', read_site(file).node_config(site_file=file)))
        config[site] = {key: node[key] for key in ("data-path", "site", "site-file")}
    run_query = query.run_query
    monkeypatch.setattr(query, "run_query", lambda cfg: asked.append(cfg.url) or run_query(cfg))
    # What a run says of a database does not hold at a site.
    run = federate(
        cfg=config_of(tmp_path / "test.csv"), grid=InProcessGrid(app, num_clients=2, node_configs=config)
    )
    assert run.digest() == sites.digest()
    assert sorted(asked) == [f"sqlite:///{tmp_path / name / 'plant.db'}" for name in SITES]


def test_a_site_decides_which_database_is_asked_and_what() -> None:
    cfg = compose(
        [
            *(
                "task=tabular_classification",
                "data=sql",
                "data.target=sick",
                "data.url=sqlite:////etc/plant.db",
            ),
            "data.query=SELECT * FROM patients",
        ]
    )
    own = own_data(cfg, path="/data/rows.csv").table
    assert (own.source, own.path, own.url, own.query) == ("table", "/data/rows.csv", None, None)


def test_a_server_of_test_rows_cannot_scale_them_by_site(run_sites: Callable[..., Run]) -> None:
    with pytest.raises(FedtwinError, match=r"no column names the sites; name it by data\.columns\.site"):
        run_sites(lambda frame: frame, "data.scaling=local")


DIFFERENT: dict[str, tuple[Change, str]] = {
    "a column less": (lambda frame: frame.drop(columns="pain"), "rejected: it lacks the inputs 'pain'"),
    "a column more": (lambda frame: frame.assign(bmi=frame["age"] / 2), "rejected: it has the inputs 'bmi'"),
    "another spelling": (
        lambda frame: frame.rename(columns={"age": "Age"}),
        "rejected: it lacks the inputs 'age'",
    ),
    "another order": (
        lambda frame: frame[["pain", "age", "sick", "split"]],
        "rejected: its inputs come in the order 'pain', 'age', the server's are 'age', 'pain'; set data.inputs",
    ),
    "a level less": (
        lambda frame: frame.replace({"pain": {"much": "some"}}),
        "rejected: the levels of its 'pain' are 'none', 'some', the server's 'much', 'none', 'some'; set ",
    ),
    "numbers for texts": (
        lambda frame: frame.assign(pain=frame["pain"].map({"none": 0, "some": 1, "much": 2})),
        "rejected: its 'pain' is numeric, the server's categorical; set data.kinds.pain",
    ),
    "one class": (
        lambda frame: frame.assign(sick="well"),
        "at least two classes are needed, got 'well'; data.classes names those that only other sites have",
    ),
    "no rows": (lambda frame: frame.head(0), "it has a header but no rows"),
    "mixed": (
        lambda frame: frame.assign(age=["old", *frame["age"][1:].astype(str)]),
        "holds numbers and 1 text",
    ),
    "infinite": (lambda frame: frame.assign(age=np.inf), "column 'age' is infinite"),
    "no target": (lambda frame: frame.drop(columns="sick"), "there is no column 'sick'"),
}


@pytest.mark.parametrize(("change", "message"), DIFFERENT.values(), ids=DIFFERENT)
def test_a_site_that_does_not_fit_is_named_before_anything_is_trained(
    change: Change, message: str, run_sites: Callable[..., Run], capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(FedtwinError) as error:
        run_sites(change)
    assert message in f"{error.value}{''.join(capfd.readouterr())}"


def test_settings_make_sites_alike(run_sites: Callable[..., Run]) -> None:
    def change(frame: pd.DataFrame) -> pd.DataFrame:
        frame = frame.assign(sick="well").head(10)
        return frame.replace({"pain": {"much": "some"}}).assign(bmi=1.0)[
            ["pain", "bmi", "sick", "age", "split"]
        ]

    run = run_sites(
        change, "data.levels.pain=[none,some,much]", "data.inputs=[age,pain]", "data.classes=[sick,well]"
    )
    assert [row.replied for row in run.rounds] == [[0, 1], [0, 1]]


def test_pooled_and_federated_scale_alike(tmp_path: Path, federate: Federate, home: Home, store: Store) -> None:
    frame = pd.concat([rows_of(site).assign(site=str(site)) for site in (0, 1)])
    frame["split"] = ["train", "val", "test"] * (len(frame) // 3)
    frame.to_csv(tmp_path / "all.csv", index=False)
    cfg = config_of(tmp_path / "all.csv", "partition=natural", "trainer.max_epochs=1")
    federated = federate(cfg=cfg)
    pooled = store.runs.get(train(cfg, store=store, home=home))
    assert pooled.summary["agreed"] == federated.row.summary["agreed"]
    assert learner_of(cfg).dataset(cache=home.cache).schema.inputs[0].name == "age"
