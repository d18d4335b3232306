"""`Access`: whose request it is and what it may do; `Gate`: which token gives which access."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

from starlette.requests import HTTPConnection
from starlette.types import Scope

from service.settings import Settings
from shared.tracking.access_tables import TOKEN_SCOPES
from shared.tracking.tenants import DEFAULT, Tenant
from shared.tracking.tokens import PREFIX, Tokens

NO_TOKEN = 4401  # closes the WebSocket of a viewer whose token is missing, or has ended
_KEY = "fedtwin.access"


@dataclass(frozen=True)
class Access:
    """What a request may do.

    Attributes
    ----------
    scope : {"read", "train", "admin"}
        Each may do what the ones before it may.
    who : str
        For the audit log and the rate: which token, not what it is.
    still_valid : callable or None
        Of an API token: whether it has neither expired nor been revoked since; reads the database.
    """

    tenant: Tenant
    scope: str
    who: str
    still_valid: Callable[[], bool] | None = field(default=None, compare=False, repr=False)

    @property
    def is_token(self) -> bool:
        """Whether it is an API token's."""
        return self.still_valid is not None

    def may(self, scope: str) -> bool:
        """Whether a scope is allowed."""
        return TOKEN_SCOPES.index(self.scope) >= TOKEN_SCOPES.index(scope)

    def put(self, scope: Scope) -> None:
        """Hand it to the application, in the ASGI scope of the request."""
        scope[_KEY] = self


def access_of(connection: HTTPConnection) -> Access:
    """The access of a request, as `SecurityMiddleware` found it; a program without that has a mistake."""
    found: Access = connection.scope[_KEY]
    return found


class Gate:
    """Finds the access that a token gives.

    Parameters
    ----------
    settings : Settings
        With the server's own tokens, which are the default tenant's.
    tokens : Tokens, optional
        Those of the database.
    """

    def __init__(self, settings: Settings, tokens: Tokens | None) -> None:
        self._view, self._train, self._tokens = settings.token, settings.train_token, tokens

    def of_header(self, given: str) -> Access | None:
        """Of a token that came in a header."""
        if _same(given, self._train):
            return Access(DEFAULT, "train", "training token")
        return self.of_viewer(given) or self._of_database(given)

    def of_viewer(self, given: str) -> Access | None:
        """Of a token that came with a link to the page, or in the cookie that followed: it may only read."""
        if _same(given, self._view):
            return Access(DEFAULT, "read", "viewers' token")
        found = self._of_database(given)
        return found if found is not None and found.scope == "read" else None

    def _of_database(self, given: str) -> Access | None:
        if self._tokens is None or not is_api_token(given):
            return None
        tokens, row = self._tokens, self._tokens.check(given)
        if row is None:
            return None
        who = f"token {row.id} ({row.name})"
        return Access(Tenant(row.tenant), row.scope, who, still_valid=lambda: tokens.check(given) is not None)


def is_api_token(given: str) -> bool:
    """Whether a text looks like a token that `fedtwin token create` made."""
    return given.startswith(PREFIX) and len(given) < 200


def _same(given: str, wanted: str | None) -> bool:
    return wanted is not None and secrets.compare_digest(given.encode(), wanted.encode())
