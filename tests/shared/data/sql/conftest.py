"""Two real databases with the same rows."""

from tests.contracts.conftest import postgres_url

__all__ = ["postgres_url"]
