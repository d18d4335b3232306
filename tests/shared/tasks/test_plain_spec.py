"""`PlainSpec`: what a task says that has nothing to say of its own."""

from __future__ import annotations

import pytest

from shared.config.compose import compose
from shared.data.profile import Profile
from shared.metrics.regression import RegressionMetrics
from shared.metrics.spec import MetricSpec
from shared.runtime.errors import ConfigError, ReplyRejected
from shared.tasks.plain_spec import PlainSpec


class Dice(PlainSpec):
    metrics = (MetricSpec("dice", "Dice", "higher", (0.0, 1.0)), MetricSpec("loss", "loss", "lower"))


class Charges(RegressionMetrics, PlainSpec):
    """The metrics come first, and have their own monitor."""


def test_the_first_metric_chooses_and_compares() -> None:
    assert (Dice().monitor, Dice().client_metric) == ("val/dice", "dice")
    assert (Charges().monitor, Charges().client_metric) == ("val/mae", "mae")
    assert compose().trainer.monitored(Dice().monitor, metrics=Dice().metrics) == ("val/dice", "max")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (["trainer.class_weights=balanced"], "class_weights=balanced has no effect on this task"),
        (["trainer.threshold=0.3"], "threshold=0.3 has no effect on this task"),
        (["trainer.monitor=val/auroc"], "val/auroc is not measured; choose one of train/dice"),
    ],
)
def test_settings_that_it_cannot_follow(changes: list[str], says: str) -> None:
    Dice().check_settings(compose().trainer)
    with pytest.raises(ConfigError, match=says):
        Dice().check_settings(compose(changes).trainer)


def test_clients_say_nothing_but_their_number_of_rows() -> None:
    Dice().check_profile(Profile(), num_examples=3)
    with pytest.raises(ReplyRejected, match=r"its profile is of \['age', 'label'\], expected an empty one"):
        Dice().check_profile(Profile({"label": {"a": 3}}, {"age": (1.0, 2.0)}), num_examples=3)
    assert Dice().agree({"a": Profile()}, trainer=compose().trainer) == {}
