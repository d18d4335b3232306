"""What the command line leaves open about data, settled by what lies at the path and by the task."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.config.settings import chosen_by_default, groups
from shared.runtime.errors import ConfigError
from shared.tasks.settle import settle


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "my data, (new)"
    for name in ("deep/cat/1.png", "deep/dog/1.png"):
        (folder / name).parent.mkdir(parents=True)
        (folder / name).touch()
    return folder


def test_a_path_without_a_source_is_recognised(root: Path) -> None:
    chosen = ["data=classes", f'data.path="{root / "deep"}"']
    assert settle(["seed=1", f"data.path={root}"]) == [*chosen, "seed=1"]
    assert settle(["data=auto", f"data.path={root}"]) == chosen
    kept = ["data=folder", f'data.path="{root}"']
    assert settle(kept) == kept
    for untouched in (
        ["seed=1"],
        ["experiment=pneumoniamnist", "data.path=x"],
        ["data.path=null"],
        ["task=visits", "data.path=visits.csv"],  # a task of the user's own names its data
        ["task=visits", "data.path=${oc.env:HOME}"],
        ["task._target_=visits.Visits", "data.path=visits.csv"],
        ["--cfg", "job"],
    ):
        assert settle(untouched) == untouched
    with pytest.raises(ConfigError, match=r"needs data\.path"):
        settle(["data=auto"])
    with pytest.raises(ConfigError, match="one path"):
        settle(["data=auto", "data.path=a,b"], sweep=True)


@pytest.mark.parametrize("task", groups()["task"])
def test_the_task_says_whether_it_recognises_data(task: str, root: Path) -> None:
    images = task.startswith("image")
    given = [f"task={task}", f"data.path={root}"]
    if images:
        assert settle(given) == ["data=classes", f'data.path="{root / "deep"}"', given[0]]
        return
    if settle(given) == [given[0], f'data.path="{root}"']:
        with pytest.raises(ConfigError, match=f"task={task} recognises no data"):
            settle(["data=auto", *given])


def test_the_default_task_is_that_of_the_configuration() -> None:
    assert chosen_by_default("task") in groups()["task"]
    assert chosen_by_default("nothing") is None
