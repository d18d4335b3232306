"""A mixture that clients and server fit together is that of pooled training, to the last bit."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from flwr.app import Context, Message
from flwr.clientapp import ClientApp

import fedtwin
from federated.client.app import app
from federated.client.egress import egress_filter
from federated.messages.questions import Asked, unpacked_arrays
from federated.messages.records import ANSWER, array_of
from federated.strategy.base import load_algorithm
from shared.config.compose import compose
from shared.metrics.outputs import OUTPUTS_FILE, Outputs
from shared.runtime.errors import ConfigError, QuorumError
from shared.tasks.task import learner_of
from tests.federated.client.test_egress import SITE
from tests.federated.federation_kit import digest
from tests.federated.test_laws import pooled_digest


@pytest.fixture
def configured(tmp_path):
    rng, size = np.random.default_rng(0), 150
    kind = rng.integers(0, 2, size)
    frame = pd.DataFrame(
        {
            "age": np.where(rng.random(size) < 0.1, np.nan, rng.normal(50, 6, size) + 30 * kind),
            "pulse": rng.normal(70, 9, size) - 20 * kind,
            "pain": rng.choice(["low", "much"], size),
            "site": rng.choice(["north", "south"], size),
            "kind": np.array(["a", "b"])[kind],
        }
    )
    frame.to_csv(tmp_path / "table.csv", index=False)

    def make(*overrides):
        return compose(
            [
                *("task=clustering", "model=gmm", f"data.path={tmp_path / 'table.csv'}", "data.target=kind"),
                *(
                    "task.clusters=2",
                    "federation.num_rounds=3",
                    "trainer.max_epochs=3",
                    "trainer.progress=false",
                ),
                *("trainer.accelerator=cpu", "partition=natural", "federation.num_clients=2", *overrides),
            ]
        )

    return make


def with_sums(sums):
    """Our ClientApp with another way of answering questions."""
    other = ClientApp()
    other.query()(lambda message, context: app(message, context))
    other.query("sums")(sums)
    other.train()(lambda message, context: app(message, context))
    other.evaluate()(lambda message, context: app(message, context))
    return other


@pytest.mark.parametrize("covariance", ["diag", "full"])
def test_the_federated_mixture_is_the_pooled_one(covariance, configured, federate, store, home, tmp_path):
    cfg = configured(f"model.covariance={covariance}", "model.regularization=0.01")
    pooled = pooled_digest(cfg, store=store, home=home)
    by_site = federate(cfg=cfg)
    own = {key: array for key, array in by_site.weights().items() if not key.startswith("strategy/")}
    assert digest(own) == pooled
    pooled_run = store.runs.search()[1]
    test = by_site.row.summary["test"]
    assert test == pooled_run.summary["test"]
    assert {"log_likelihood", "bic", "silhouette", "calinski_harabasz", "adjusted_rand"} <= test.keys()
    assert "inertia" not in test
    assert test["adjusted_rand"] > 0.8
    for name in ("log_likelihood", "bic"):  # from the clients' sums, of all together
        expected = {
            row.epoch: row.value
            for row in store.metrics.of_run(pooled_run.id)
            if (row.stage, row.name) == ("val", name)
        }
        assert by_site.values(name, stage="val") == pytest.approx(expected, rel=1e-6)
    told = fedtwin.predict(by_site.id, str(cfg.table.path), store=home.root)
    frame = told.frame()
    values = frame[["cluster 0", "cluster 1"]].to_numpy()
    assert values.sum(axis=1) == pytest.approx(1, abs=1e-6)
    assert np.array_equal(frame["prediction"], values.argmax(axis=1))
    assert {"prediction", "probabilities"} <= told.records()[0].keys()
    outputs = Outputs.load(home.run_dir(by_site.id) / OUTPUTS_FILE)
    assert outputs.predictions.shape[1] == 2 + 4  # two components; two numbers and two levels
    done = fedtwin.export_model(by_site.id, tmp_path / "m.safetensors", format="safetensors", store=home.root)
    assert done.difference == 0


def test_an_answer_that_cannot_be_is_refused_by_name(configured, federate):
    def sums(message: Message, context: Context) -> Message:
        reply = app(message, context)
        if Asked.from_message(message).kind == "gmm/soft":
            record = reply.content.array_records[ANSWER]
            values = unpacked_arrays(record)
            record.clear()
            for name, array in {**values, "zeroth": values["zeroth"] * 2}.items():
                record[name] = array_of(np.asarray(array))
        return reply

    with pytest.raises(QuorumError, match=r"(?s)0 of 2 clients answered.*expected shares of"):
        federate(cfg=configured(), client_app=with_sums(sums))


def test_a_site_gives_its_leave_before_a_row_starts_a_component(configured, federate, tmp_path):
    guarded = ClientApp(mods=[egress_filter])
    guarded.query("sums")(lambda message, context: app(message, context))

    def sums(message: Message, context: Context) -> Message:
        lists = {"metrics": "[log_likelihood]", "counts": "[num_examples, num_val]", "may_run": "[]"}
        (tmp_path / "site.yaml").write_text(SITE.format(path=tmp_path, **lists))
        context.node_config["site-file"] = str(tmp_path / "site.yaml")
        try:
            return guarded(message, context)
        finally:
            del context.node_config["site-file"]

    with pytest.raises(QuorumError, match=r"lets no training row out.*may_leave\.rows"):
        federate(cfg=configured(), client_app=with_sums(sums))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["strategy=clusters"], r"got model\.name=gmm"),
        (["strategy=fedavg"], "trained by strategy=sums"),
        (["federation.local_epochs=2"], "a round is one iteration"),
    ],
)
def test_settings_that_a_mixture_cannot_follow(overrides, message, configured):
    cfg = configured(*overrides)
    with pytest.raises(ConfigError, match=message):
        load_algorithm(cfg.strategy).check(cfg)


def test_the_measures_are_those_of_the_model(configured):
    with pytest.raises(ConfigError, match=r"task\.model=kmeans names the model"):
        learner_of(configured("task.model=kmeans"))
