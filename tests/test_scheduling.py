"""What the tests' own plugins do: which tests a worker gets together, and what the end of a run prints."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from tests.budgets import BUDGETS, folder_of, lines_of
from tests.scheduling import APART, DEPLOYMENTS, WAITING, next_unit, unit_of

TESTS = Path(__file__).parent


def test_a_file_is_one_unit_of_work_unless_its_tests_share_nothing():
    one, other = "tests/shared/test_a.py::test_b[x::y]", "tests/shared/test_a.py::TestC::test_d"
    assert unit_of(one) == unit_of(other) == "tests/shared/test_a.py"
    for file in APART:
        assert (TESTS.parent / file).is_file()
        assert unit_of(f"{file}::test_b[x]") == f"{file}::test_b[x]"


def test_all_deployments_are_one_unit():
    files = [*TESTS.glob("e2e/test_deploy_*.py")]
    assert len(files) > 2
    assert len({unit_of(f"tests/e2e/{file.name}::test_a") for file in files}) == 1


def test_one_worker_begins_with_what_waits_and_the_others_leave_it_to_that_one():
    for unit in WAITING - {DEPLOYMENTS}:
        assert (TESTS.parent / unit).is_file()
        assert unit_of(f"{unit}::test_a") == unit
    slow, fast = "tests/e2e/test_story.py", "tests/shared/test_a.py"
    assert next_unit([slow, DEPLOYMENTS, fast], waits=True) == DEPLOYMENTS
    assert next_unit([DEPLOYMENTS, slow, fast], waits=False) == slow
    assert next_unit([slow, fast], waits=True) == slow
    assert next_unit([DEPLOYMENTS], waits=False) == DEPLOYMENTS


def test_every_folder_has_a_budget():
    folders = {path.relative_to(TESTS).parts[0] for path in TESTS.glob("*/**/test_*.py")}
    assert folders | {"tests"} == set(BUDGETS)
    assert folder_of("tests/service/api/test_runs.py::test_a") == "service"
    assert folder_of("tests/test_docker.py::test_a") == "tests"


def test_only_a_folder_over_its_budget_is_marked():
    fast, slow = BUDGETS["e2e"]
    lines = lines_of(Counter({("e2e", True): slow + 1, ("e2e", False): fast}))
    assert [late for _, late in lines] == [False, True]
    assert "OVER ITS BUDGET" in lines[1][0]
    assert "e2e, slow tests" in lines[1][0]
