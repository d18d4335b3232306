"""Steps from one schema to the next, on rows that an older version stored."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine

from shared.tracking import migrations
from shared.tracking.store import Store
from shared.tracking.tenants import Tenant
from tests.contracts.test_store_models import complete

ROW = (
    "INSERT INTO run VALUES ({id}, 'r', '', 'federated', 'completed', '{{}}', 1, NULL, '2026-01-01', NULL, "
    "NULL, NULL, ?, '', '', 1, 0)"
)


def step(path: Path, revision: str) -> None:
    """Bring a database to a revision, up or down."""
    engine = create_engine(f"sqlite:///{path}")
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        move = command.upgrade if migrations.revision(connection) is None else command.downgrade
        move(config, revision)
    engine.dispose()


def execute(path: Path, *statements: tuple[str, tuple[str, ...]]) -> None:
    with sqlite3.connect(path) as connection:
        for statement, values in statements:
            connection.execute(statement, values)
    connection.close()


def test_label_counts_of_older_runs_become_profiles(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    step(path, "0001")
    client = "INSERT INTO client VALUES ({run}, {id}, '18446744073709551615', 'north', 9, ?)"
    execute(
        path,
        (ROW.format(id=1), (json.dumps({"classes": ["sick", "well"]}),)),
        (ROW.format(id=2), (json.dumps({}),)),
        (client.format(run=1, id=0), ("[4, 5]",)),
        (client.format(run=1, id=1), ("[]",)),  # a site that kept them to itself
        (client.format(run=2, id=0), ("[9, 0, 0]",)),
    )
    with Store(f"sqlite:///{path}") as store:
        found = {(row.run_id, row.client_id): row for run_id in (1, 2) for row in store.clients.of_run(run_id)}
    assert found[1, 0].profile == {"counts": {"label": {"sick": 4, "well": 5}}, "spans": {}, "missing": {}}
    assert found[1, 1].profile == {"counts": {}, "spans": {}, "missing": {}}
    assert found[2, 0].profile["counts"] == {"label": {"0": 9, "1": 0, "2": 0}}
    assert (found[1, 0].node_id, found[1, 0].name, found[1, 0].num_examples) == (
        "18446744073709551615",
        "north",
        9,
    )
    step(path, "0001")
    with sqlite3.connect(path) as connection:
        counts = connection.execute("SELECT label_counts FROM client ORDER BY run_id, client_id").fetchall()
    connection.close()
    assert [json.loads(text) for (text,) in counts] == [[4, 5], [], [9, 0, 0]]


def test_models_of_before_are_the_default_tenants(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    with Store(f"sqlite:///{path}") as store:
        complete(store)
        complete(store.of(Tenant("north")))
        store.models.promote("ward-7")
    step(path, "0012")
    with Store(f"sqlite:///{path}") as store:
        assert store.models.aliases("ward-7") == {"production": "1.0.0"}
        assert store.of(Tenant("north")).models.search() == []
        assert store.models.register(2).tenant == "north"
        assert complete(store) == 3
        assert store.models.get("ward-7").latest == "1.0.1"
