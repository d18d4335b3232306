"""What commands on runs, jobs and models show where there are several tenants; exports replace nothing."""

from __future__ import annotations

import json

from shared.tracking.tenants import Tenant
from tests.contracts.test_store_models import complete
from tests.job_kit import submit

WARD = Tenant("ward-7")


def test_the_tenant_is_shown_where_there_are_several(fedtwin, store):
    submit(store)
    complete(store, name="mine")
    for command in ("jobs", "runs"):
        assert "tenant" not in fedtwin(command)[1]
    store.tenants.create(WARD)
    submit(store.of(WARD))
    complete(store.of(WARD), name="theirs")
    for command in ("jobs", "runs"):
        listed = fedtwin(command)[1]
        assert all(word in listed for word in ("tenant", "ward-7", "default"))
        rows = json.loads(fedtwin(command, "--format", "json")[1])
        assert [row["tenant"] for row in rows] == ["ward-7", "default"]


def test_models_of_a_tenant(fedtwin, store):
    store.tenants.create(WARD)
    complete(store.of(WARD), name="theirs")
    complete(store, name="mine")
    names = [
        json.loads(fedtwin("models", *more, "--format", "json")[1])[0]["name"]
        for more in ([], ["--tenant", "ward-7"])
    ]
    assert names == ["mine", "theirs"]
    given = ("theirs", "--alias", "candidate", "--tenant", "ward-7")
    assert fedtwin("models", "promote", *given)[1] == "candidate of model theirs is version 1.0.0 (run 1)\n"
    code, _, err = fedtwin("models", "--tenant", "nobody")
    assert (code, "there is no tenant 'nobody'" in err) == (2, True)


def test_an_export_replaces_nothing_unless_it_is_told_to(fedtwin, store, tmp_path):
    complete(store, name="mine")
    path = tmp_path / "run.json"
    command = ("export", "1", "--format", "json", "--output", str(path))
    assert fedtwin(*command)[0] == 0
    path.write_text("precious")
    code, _, err = fedtwin(*command)
    assert (code, "is there already: pass --force" in err.replace("\n", " ")) == (2, True)
    assert path.read_text() == "precious"
    assert fedtwin(*command, "--force")[0] == 0
    assert json.loads(path.read_text())["run"]["id"] == 1
