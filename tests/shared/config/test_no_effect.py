"""Every setting has the effect that it states, or is refused where somebody types it."""

from __future__ import annotations

import pytest

from shared.config.compose import compose
from shared.config.no_effect import ONLY_WITH, UNUSED, followed, reject_unused
from shared.runtime.errors import ConfigError


def refused(command, *typed):
    with pytest.raises(ConfigError) as error:
        reject_unused(typed, compose(typed), command=command)
    return str(error.value)


@pytest.mark.parametrize(
    ("command", "typed"),
    [
        ("fedtwin centralized", "federation.num_rounds=3"),
        ("fedtwin centralized", "strategy=fedprox"),
        ("fedtwin centralized", "partition=iid"),
        ("fedtwin centralized", "compare.seeds=[1,2]"),
        ("fedtwin simulate", "trainer.max_epochs=3"),
        ("fedtwin simulate", "trainer.num_threads=1"),
        ("fedtwin federated", "compare.local_only=true"),
    ],
)
def test_what_a_command_does_not_follow(command, typed):
    assert f"{typed} has no effect on {command}" in refused(command, typed)


@pytest.mark.parametrize(
    ("typed", "other"),
    [
        (("trainer.optimizer.name=adamw", "trainer.optimizer.momentum=0.5"), "trainer.optimizer.name=sgd"),
        (("trainer.optimizer.name=adamw", "trainer.optimizer.nesterov=true"), "trainer.optimizer.name=sgd"),
        (("trainer.scheduler.warmup=0.1",), "trainer.scheduler.name=one_cycle"),
        (("trainer.scheduler.patience=1",), "trainer.scheduler.name=plateau"),
        (("data.standardize=image", "data.mean=[0.1]"), "data.standardize=dataset"),
        (("data.max_bad_share=0.1",), "data.on_bad_image=skip"),
        (("partition=iid", "+partition.alpha=0.1"), "partition.name=dirichlet"),
        (("partition=iid", "+partition.sigma=2"), "partition.name=quantity"),
        (("partition=natural", "partition.seed=2"), "partition.name=iid or "),
    ],
    ids=lambda typed: typed[-1] if isinstance(typed, tuple) else "",
)
def test_what_needs_another_setting(typed, other):
    said = refused("fedtwin compare", *typed)
    assert f"{typed[-1].lstrip('+')} has no effect with " in said.replace("+", "")
    assert other in said


def test_all_are_named_and_what_has_an_effect_is_not():
    said = refused(
        "fedtwin centralized", "federation.num_rounds=3", "trainer.max_epochs=2", "strategy=scaffold"
    )
    assert said.count("has no effect") == 2
    for typed in (
        ("trainer.scheduler.name=one_cycle", "trainer.scheduler.warmup=0.1"),
        ("trainer.early_stopping.patience=2", "trainer.max_epochs=3"),
        ("~experiment", "hydra.verbose=true"),
    ):
        reject_unused(typed, compose(typed[:2] if "~" not in typed[0] else ()), command="fedtwin centralized")


def test_patience_needs_the_stopping_of_its_mode():
    typed = "trainer.early_stopping.patience=2"
    assert "federation.early_stopping=true" in refused("fedtwin simulate", typed)
    reject_unused([typed], compose([typed, "federation.early_stopping=true"]), command="fedtwin simulate")


def test_what_a_preset_sets_is_not_asked_about():
    typed = ["experiment=pneumoniamnist", "data.path=/x.npz"]
    for command in UNUSED:
        reject_unused(typed, compose(typed), command=command)


def test_every_name_in_the_tables_is_a_setting():
    snapshot = compose(["data=medmnist"]).model_dump()
    names = [name for names in UNUSED.values() for name in names]
    names += [name for name, (other, _) in ONLY_WITH.items() for name in (name, other)]
    for name in names:
        section = snapshot
        for part in name.split("."):
            assert part in section, name
            section = section[part]


def test_of_settings_that_commands_share_each_takes_its_own():
    shared = ["trainer.max_epochs=3", "federation.num_rounds=3", "strategy=fedprox", "data.batch_size=8"]
    assert followed(shared, command="fedtwin centralized") == [shared[0], shared[3]]
    assert followed(shared, command="fedtwin simulate") == shared[1:]
