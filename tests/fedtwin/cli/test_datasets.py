"""``fedtwin datasets``, as it is typed."""

from __future__ import annotations

import json

import pytest

from shared.tracking.tenants import Tenant
from tests.contracts.test_store_datasets import add
from tests.job_kit import submit


def test_they_are_listed_and_deleted(fedtwin, store, home):
    number = add(store, "beds")
    store.tenants.create(Tenant("ward-7"))
    add(store.of(Tenant("ward-7")), "theirs")
    file = home.dataset_dir(number) / "beds.csv"
    file.parent.mkdir(parents=True)
    file.write_text("age\n1\n")
    job = submit(store, dataset_id=number)
    listed = fedtwin("datasets")[1]
    assert all(word in listed for word in ("beds", "ready", "9 rows", f"job {job}"))
    assert "theirs" not in listed
    (row,) = json.loads(fedtwin("datasets", "--tenant", "ward-7", "--format", "json")[1])
    assert (row["name"], row["used_by"]) == ("theirs", [])
    code, _, said = fedtwin("datasets", "delete", "beds", "--yes")
    assert (code, f"dataset beds is used by job {job}" in said) == (2, True)
    store.jobs.cancel(job)
    assert "nobody can be asked here" in fedtwin("datasets", "delete", "beds")[2]
    assert fedtwin("datasets", "delete", "beds", "--yes")[1] == "dataset beds is deleted\n"
    assert (store.datasets.find("beds"), file.parent.exists()) == (None, False)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["delete"], "takes NAME, got nothing"),
        (["delete", "beds", "--yes"], "there is no dataset 'beds'"),
        (["--tenant", "nobody"], "there is no tenant 'nobody'"),
    ],
)
def test_mistakes_are_named(fedtwin, home, given, says):
    code, _, err = fedtwin("datasets", *given)
    assert (code, says in err.replace("\n", " ")) == (2, True)
