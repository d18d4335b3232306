"""Passwords in every way in which SQLAlchemy and libpq take them."""

from __future__ import annotations

import pytest

from shared.runtime.secrets import secrets_of, without_secrets


@pytest.mark.parametrize(
    ("given", "shown", "secret"),
    [
        ("postgresql://me:pw-1@db:5432/x", "postgresql://me:***@db:5432/x", "pw-1"),
        ("postgresql+psycopg://:pw@db/x", "postgresql+psycopg://:***@db/x", "pw"),
        ("postgres://me:p/w@db/x", "postgres://me:***@db/x", "p/w"),
        ("postgresql://me:p@w@db/x", "postgresql://me:***@db/x", "p@w"),
        ("postgresql://me:p w'\"@db/x", "postgresql://me:***@db/x", "p w'\""),
        ("postgresql:///x?user=me&password=p%20w&a=1", "postgresql:///x?user=me&password=***&a=1", "p w"),
        ("postgresql://db/x?sslpassword=pw", "postgresql://db/x?sslpassword=***", "pw"),
        ("host=db password=pw user=me", "host=db password=*** user=me", "pw"),
        ("host=db PASSWORD = 'p w\\'' user=me", "host=db PASSWORD = *** user=me", "p w\\'"),
    ],
)
def test_a_password_is_hidden_however_it_is_given(given: str, shown: str, secret: str) -> None:
    assert without_secrets(given) == shown
    assert secret in secrets_of(given)
    assert without_secrets([f"tracking.database_url={given}"]) == [f"tracking.database_url={shown}"]
    if " " not in secret:  # in a sentence, a space ends a URL
        assert secret not in without_secrets({"error": f"cannot reach '{given}' (me@example.org)"})["error"]


@pytest.mark.parametrize(
    "text",
    [
        "see http://db:80/x and a@b:c",
        "sqlite:////home/a:b@c/fedtwin.db",
        "http://127.0.0.1:8000/runs/1, or write to me@example.org",
        "the password is wrong",
    ],
)
def test_what_holds_no_password_stays(text: str) -> None:
    assert without_secrets(text) == text


def test_other_values_stay() -> None:
    assert without_secrets({"a": 3, "b": None, "c": (1.5, "x")}) == {"a": 3, "b": None, "c": (1.5, "x")}
