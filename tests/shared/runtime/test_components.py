"""Which classes may be imported because a run's settings name them: the check comes before the import."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from shared.runtime.components import MAY_RUN, allow_component, load_component
from shared.runtime.errors import ConfigError

MODULE = """
from pathlib import Path

Path(__file__).with_name("imported").touch()


class Mine(Exception):
    pass


class Other:
    pass
"""


@pytest.fixture
def name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """A module that nobody has allowed; it leaves a file beside itself when it is imported."""
    name = f"mine_{abs(hash(request.node.name))}"
    (tmp_path / f"{name}.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delenv(MAY_RUN, raising=False)
    monkeypatch.setenv("PYTHONPATH", "")
    return name


def imported(tmp_path: Path) -> bool:
    return (tmp_path / "imported").exists()


def test_what_nobody_allowed_is_not_imported(name: str, tmp_path: Path) -> None:
    for target in (f"{name}.Mine", "os.system", f"federated.strategyx.{name}", "", "."):
        with pytest.raises(ConfigError, match="may not run here"):
            load_component(target, kind=Exception)
    with pytest.raises(ConfigError, match="may not run here"):
        load_component(f"{name}.Mine", kind=Exception, may_run=[name[:-1], f"{name}.Other", ""])
    assert not imported(tmp_path)


@pytest.mark.parametrize("allowed", ["{}", "{}.Mine"])
def test_a_site_allows_a_module_or_a_class(allowed: str, name: str, tmp_path: Path) -> None:
    found = load_component(f"{name}.Mine", kind=Exception, may_run=[allowed.format(name)])
    assert found.__name__ == "Mine"
    assert imported(tmp_path)


def test_the_environment_allows_too(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MAY_RUN, f"other, {name}.Mine")
    assert load_component(f"{name}.Mine", kind=Exception).__name__ == "Mine"


def test_what_the_command_line_names_may_run_in_this_folder_and_in_child_processes(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path != str(tmp_path)])
    monkeypatch.setenv(MAY_RUN, "")
    monkeypatch.chdir(tmp_path)

    allow_component(f"{name}.Mine")
    allow_component(f"{name}.Mine")
    assert os.environ[MAY_RUN] == f"{name}.Mine"
    assert os.environ["PYTHONPATH"] == str(tmp_path)
    assert load_component(f"{name}.Mine", kind=Exception).__name__ == "Mine"


def test_ours_need_no_permission(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MAY_RUN, "")
    before = list(sys.path)
    allow_component("federated.strategy.fedavg.FedAvg")

    assert (os.environ[MAY_RUN], sys.path) == ("", before)


def test_what_cannot_be_used_is_named(name: str) -> None:
    with pytest.raises(ConfigError, match=r"must be a subclass of builtins\.Exception"):
        load_component(f"{name}.Other", kind=Exception, may_run=[name])
    with pytest.raises(ConfigError, match=r"AttributeError: .* 'Nothing'"):
        load_component(f"{name}.Nothing", kind=Exception, may_run=[name])
    with pytest.raises(ConfigError, match=r"ModuleNotFoundError.*PYTHONPATH"):
        load_component("no_such_module.Thing", kind=Exception, may_run=["no_such_module"])
