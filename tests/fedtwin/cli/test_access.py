"""``fedtwin token`` and ``fedtwin tenant``."""

from __future__ import annotations

import json

import pytest

from fedtwin.cli.main import main
from shared.runtime.home import open_home
from shared.tracking.store import Store


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("FEDTWIN_HOME", str(tmp_path))

    def run(*arguments: str) -> str:
        monkeypatch.setattr("sys.argv", ["fedtwin", *arguments])
        main()
        return capsys.readouterr().out

    return run


def test_a_token_is_made_listed_and_revoked(run):
    run("tenant", "create", "ward-7", "--max-running", "2")
    secret = run("token", "create", "ci", "--tenant", "ward-7", "--scope", "train", "--expires", "90d").strip()
    assert secret.startswith("ft_")
    (row,) = json.loads(run("token", "list", "--format", "json"))
    assert (row["tenant"], row["scope"], row["state"], row["name"]) == ("ward-7", "train", "valid", "ci")
    with Store(open_home().database_url) as store:
        assert store.tokens.check(secret) is not None
        assert run("token", "revoke", "1") == "token 1 (ci) is revoked\n"
        assert store.tokens.check(secret) is None
    assert secret not in run("token")


def test_limits_are_changed_one_at_a_time(run):
    run("tenant", "create", "ward-7", "--max-running", "2")
    run("tenant", "limit", "ward-7", "--max-queued", "5", "--max-dataset-bytes", "20000000000")
    run("tenant", "limit", "default", "--max-running", "0")
    found = {row["name"]: row for row in json.loads(run("tenant", "list", "--format", "json"))}
    limits = ("max_running", "max_queued", "max_dataset_bytes")
    assert [found["ward-7"][name] for name in limits] == [2, 5, 20_000_000_000]
    assert found["default"]["max_running"] is None


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["token", "create"], "needs a name"),
        (["token", "create", "x", "--tenant", "nobody"], "there is no tenant 'nobody'"),
        (["token", "revoke", "7"], "there is no token 7"),
        (["token", "revoke", "x"], "expected a token's number"),
        (["tenant", "list", "x"], "takes nothing more"),
        (["tenant", "create", "Ward 7"], "lower-case letters"),
    ],
)
def test_mistakes_are_named(run, capsys, arguments, says):
    with pytest.raises(SystemExit):
        run(*arguments)
    assert says in capsys.readouterr().err.replace("\n", " ")
