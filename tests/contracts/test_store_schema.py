"""The contract of the schema: how it is made, and when a database is refused."""

from __future__ import annotations

import os
import warnings

import pytest
import sqlalchemy as sa

from shared.runtime.errors import TrackingError
from shared.tracking import migrations
from shared.tracking.schema import metadata
from shared.tracking.store import Store
from tests.job_kit import submit


def execute(store: Store, statement) -> None:
    with store._database.write() as connection:
        connection.execute(statement)


class TestSchema:
    def test_migrations_make_what_the_tables_say(self, database_url):
        from alembic.autogenerate import compare_metadata
        from alembic.migration import MigrationContext

        with Store(database_url) as store:
            store.runs.search()
            with store._database.read() as connection, warnings.catch_warnings():
                warnings.filterwarnings("ignore", ".*expression-based index")  # compared below
                assert compare_metadata(MigrationContext.configure(connection), metadata) == []
                migrated = described(connection)
            execute(store, sa.text("DROP TABLE alembic_version"))
            with store._database.write() as connection:
                metadata.drop_all(connection)
                metadata.create_all(connection)
                assert described(connection) == migrated

    def test_head_is_the_last_step(self):
        from alembic.script import ScriptDirectory

        scripts = ScriptDirectory(os.path.dirname(migrations.__file__))  # noqa: PTH120
        assert scripts.get_current_head() == migrations.HEAD
        assert tuple(step.revision for step in scripts.walk_revisions())[::-1] == migrations.KNOWN

    def test_runs_from_before_there_were_tags(self, database_url):
        from alembic import command
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", os.path.dirname(migrations.__file__))  # noqa: PTH120
        with Store(database_url) as store:
            engine = sa.create_engine(store._database._url)
            with engine.begin() as connection:
                config.attributes["connection"] = connection
                command.upgrade(config, "0001")
                columns = "name, description, training_mode, status, config, seed, started, summary, host"
                values = "'old', '', 'centralized', 'completed', '{}', 1, '2026-01-02 03:04:05', '{}', 'here'"
                insert = f"INSERT INTO run ({columns}, boot_id, pid, pid_started) VALUES ({values}, 'b', 1, 0)"
                connection.execute(sa.text(insert))
            engine.dispose()
            (run,) = store.runs.search()
            assert (run.name, run.tags) == ("old", [])
            assert store.runs.tag(run.id, add=["kept"]) == ["kept"]

    def test_jobs_may_be_sweeps_and_go_where_they_may_not(self, database_url):
        from alembic import command
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", os.path.dirname(migrations.__file__))  # noqa: PTH120
        with Store(database_url) as store:
            kept, gone = submit(store), submit(store, mode="sweep")
            engine = sa.create_engine(store._database._url)
            for move in (command.downgrade, command.upgrade):
                with engine.begin() as connection:
                    config.attributes["connection"] = connection
                    move(config, "0016" if move is command.downgrade else "head")
                    if move is command.downgrade:
                        with pytest.raises(sa.exc.IntegrityError), connection.begin_nested():
                            connection.execute(sa.text("UPDATE job SET mode = 'sweep'"))
            engine.dispose()
            assert ([row.id for row in store.jobs.search()], store.jobs.events(gone)) == ([kept], [])
            assert store.jobs.get(submit(store, mode="sweep")).mode == "sweep"

    def test_a_newer_schema_is_refused(self, database_url):
        with Store(database_url) as store:
            store.runs.search()
            execute(store, sa.text("UPDATE alembic_version SET version_num = '9999'"))
        with Store(database_url) as store, pytest.raises(TrackingError, match=r"schema '9999'.*update fedtwin"):
            store.runs.search()

    @pytest.mark.attack
    def test_a_foreign_database_is_refused_and_left_as_it_was(self, database_url):
        with Store(database_url) as store:
            engine = sa.create_engine(store._database._url)
            with engine.begin() as connection:
                connection.execute(sa.text("CREATE TABLE client (x INTEGER)"))
            with pytest.raises(TrackingError, match="cannot use the tracking database"):
                store.runs.search()
            with engine.begin() as connection:
                assert sa.inspect(connection).get_table_names() == ["client"]
            engine.dispose()


def described(connection: sa.Connection) -> list:
    """Everything about the tables, as the database itself writes it."""
    if connection.dialect.name == "sqlite":
        query = "SELECT name, sql FROM sqlite_master WHERE tbl_name <> 'alembic_version' ORDER BY name"
        rows = connection.exec_driver_sql(query).all()
        # A column that was added later stands last, after the constraints.
        parts = [(name, " ".join(sql.split()).split(", ") if sql else []) for name, sql in rows]
        return [(name, {part.rstrip(" )") for part in sql}) for name, sql in parts]
    here = "current_schema()"
    queries = (
        "SELECT table_name, column_name, data_type, is_nullable, column_default, character_maximum_length "
        f"FROM information_schema.columns WHERE table_schema = {here} AND table_name <> 'alembic_version'",
        "SELECT indexname, indexdef FROM pg_indexes "
        f"WHERE schemaname = {here} AND tablename <> 'alembic_version'",
        "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint "
        f"WHERE connamespace = {here}::regnamespace "
        "AND conrelid IS DISTINCT FROM to_regclass('alembic_version')",
    )
    return [sorted(map(str, connection.exec_driver_sql(query))) for query in queries]
