"""What a wrong setting is answered with: its name, what was expected, what came; never a word of Python's."""

from __future__ import annotations

import copy
import re

import pytest

from federated.strategy.base import load_algorithm
from shared.config.compose import compose
from shared.config.config import validate
from shared.config.mistakes import check_overrides
from shared.config.problems import did_you_mean
from shared.config.settings import CONF_DIR, about, all_settings, groups, settings_of
from shared.runtime.errors import ConfigError
from shared.tasks.task import load_task

# Choices whose further keys belong to the user, who may give them any value.
OWN = {("data", "custom"), ("model", "custom"), ("model", "own"), ("task", "custom")}
CHOICES = [
    (group, choice)
    for group, choices in groups().items()
    for choice in choices
    if group != "experiment" and (group, choice) not in OWN
]
PYTHON = re.compile(
    r"<class|Traceback|omegaconf|pydantic|hydra\.|NoneType|\bNone\b|\bTrue\b|\bFalse\b|\bdict|\btuple|\bstr\b|\bint\b|"
    r"\bfloat\b|\bbool\b|Config\b|Exception|Viable|Lexer|EOF|Input should|not permitted|literal\["
)


@pytest.fixture(scope="module")
def plain():
    return compose().model_dump(mode="json")


@pytest.mark.parametrize(("group", "choice"), CHOICES)
def test_a_wrong_kind_of_value_is_answered_in_words(group, choice, plain):
    settings = settings_of(group, choice)
    section = {}
    for key, setting in settings.items():
        _put(section, key.split(".")[1:], setting.default)
    for key in settings:
        if key.endswith("_target_") or key in ("data.name", "model.name"):
            continue
        wrong = copy.deepcopy({**plain, group: section})
        _put(wrong[group], key.split(".")[1:], {"nothing": {"at": 1}})
        with pytest.raises(ConfigError) as caught:
            _check(wrong)
        text = str(caught.value)
        assert f"{key}: expected" in text or f"{key}.nothing" in text, text
        assert not PYTHON.search(text), text


def _put(section, names, value):
    for name in names[:-1]:
        section = section.setdefault(name, {})
    section[names[-1]] = value


def _check(values):
    cfg = validate(values)
    load_algorithm(cfg.strategy)  # an algorithm and a task check their settings themselves
    load_task(cfg.task)


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (["trainer.max_epochs=abc"], ["whole number of at least 1", '"abc"', "trainer.max_epochs=10"]),
        (["seed="], ["seed: expected a whole number", 'the text ""']),
        (["trainer.optimizer=sgd"], ["trainer.optimizer", "lr", '"sgd"']),
        (["compare.seeds=3"], ["compare.seeds", "a list", "got 3", "compare.seeds=[1]"]),
        (["model.widths=[1]"], ["model.widths", "2 values", "[1]", "model.widths=[16,32]"]),
        (["trainer.threshold=abc"], ["above 0 and below 1 or val"]),
        (["strategy.fraction_train=2"], ["above 0", "at most 1", "got 2"]),
        (["trainer.optimizer.name=adam"], ["sgd, adamw", "did you mean adamw?"]),
        (["data.source=zap"], ["data.source", "did you mean zip?"]),
        (["data=zip"], ["data.path"]),
        (["data=medmnst"], ["did you mean medmnist?", "digits"]),
        (["model=resnet19"], ["did you mean resnet18?"]),
        (["experiment=TYPO"], ["pneumoniamnist"]),
        (["strategy=base"], ["fedavg"]),
        (["partition=base"], ["dirichlet"]),
        (["trainer.max_epoch=3"], ["did you mean trainer.max_epochs?"]),
        (["+trainer.max_epoch=3"], ["did you mean trainer.max_epochs?"]),
        (["trian.max_epochs=3"], ["did you mean trainer.max_epochs?"]),
        (["lr=3"], ["did you mean trainer.optimizer.lr?"]),
        (["data.columns.labl=x"], ["did you mean data.columns.label?"]),
        (["modell=cnn"], ["did you mean model?"]),
        (["trainer.max_epochs.foo=3"], ["trainer.max_epochs is one value"]),
        (["strategy.proximal_mu=3"], ["strategy=fedprox"]),
        (["trainer.max_epochs"], ["KEY=VALUE"]),
        (["=3"], ["KEY=VALUE"]),
        (["data.classes=[1,2"], ["data.classes", "quotes"]),
        (["seed=1,2"], ["--multirun", "seed=[1,2]"]),
        (["data.path=${nope}"], ["data.path", "nope"]),
        (["name=???"], ["name: has no value"]),
        (["task=custom"], ["data._target_: has no value"]),
    ],
)
def test_what_a_mistake_is_answered_with(overrides, says):
    with pytest.raises(ConfigError) as caught:
        compose(overrides)
    text = str(caught.value)
    assert [word for word in says if word not in text] == [], text
    assert not PYTHON.search(text), text


def test_every_mistake_is_named_at_once():
    with pytest.raises(ConfigError) as caught:
        check_overrides(["model=resnet19", "foo", "data=digits"])
    with pytest.raises(ConfigError, match="model=null: there is no 'null'"):
        check_overrides(["model=null"])
    assert "foo" in str(caught.value)
    with pytest.raises(ConfigError) as caught:
        compose(["trainer.max_epochs=0", "data.channels=2", "trainer.optimizer.lr=-1"])
    assert str(caught.value).count("\n  - ") == 3


def test_sweeps_are_checked_choice_by_choice():
    check_overrides(["model=cnn,resnet18", "seed=1,2"], sweep=True)
    with pytest.raises(ConfigError, match="resnet19"):
        check_overrides(["model=cnn,resnet19"], sweep=True)


def test_a_choice_in_a_folder_of_the_users_own(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine.yaml").write_text("name: cnn\n")
    check_overrides(["model=mine"], folders=(CONF_DIR, tmp_path))
    with pytest.raises(ConfigError, match="mine"):
        check_overrides(["model=mine"])


def test_nothing_is_suggested_that_is_not_near():
    assert did_you_mean("colour", ["trainer.max_epochs", "seed"]) == ""


def test_comments_and_values_are_those_of_the_files():
    lr = settings_of("trainer", "default")["trainer.optimizer.lr"]
    assert (lr.default, lr.comment) == (0.01, "learning rate; with a schedule, its peak")
    inherited = settings_of("federation", "deployment")
    assert inherited["federation.num_rounds"].default == 10
    assert inherited["federation.num_clients"].default == 3
    assert "validation" in settings_of("data", "digits")["data.split_by"].comment  # its second line
    assert settings_of("data", "digits")["data.batch_size"].comment  # of base.yaml
    assert [setting.default for setting in all_settings()["seed"]] == [42]


def test_every_choice_says_what_it_is():
    assert [
        (group, name) for group, names in groups().items() for name in names if not about(group, name)
    ] == []
    assert not any("base" in names for names in groups().values())


def test_what_was_typed_is_no_advice():
    assert did_you_mean("knn", ["cnn", "mlp"]) == "; did you mean cnn?"
    assert did_you_mean("cnn", ["cnn", "knn"]) == ""
