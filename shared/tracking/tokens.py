"""`Tokens`: API tokens, of which the database holds a digest alone."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sa

from shared.runtime.errors import ConfigError, TrackingError
from shared.tracking.access_tables import TOKEN_SCOPES, tenant, token
from shared.tracking.database import Database
from shared.tracking.rows import Row
from shared.tracking.tenants import Scope, Tenant, no_tenant, within

PREFIX = "ft_"  # so that scanners, and we, know one that was left somewhere


@dataclass(frozen=True, slots=True)
class TokenRow(Row):
    """What is known of a token, which is not the token itself.

    Attributes
    ----------
    scope : {"read", "train", "admin"}
        Each may do what the ones before it may.
    expires, revoked : datetime or None
        Not valid from then on.
    """

    id: int
    tenant: str
    name: str
    scope: str
    created: datetime
    expires: datetime | None
    revoked: datetime | None

    def state(self, now: datetime) -> str:
        """``valid``, ``expired`` or ``revoked``."""
        if self.revoked is not None:
            return "revoked"
        return "expired" if self.expires is not None and self.expires <= now else "valid"


class Tokens:
    """Makes, finds and revokes tokens of the tenants of a scope."""

    def __init__(self, database: Database, scope: Scope) -> None:
        self._database, self._scope = database, scope

    def create(self, owner: Tenant, *, name: str, scope: str, expires: datetime | None) -> tuple[TokenRow, str]:
        """Make a random token of 256 bits.

        Returns
        -------
        TokenRow, str
            What is stored, and the token, which is stored nowhere.

        Raises
        ------
        TrackingError
            There is no such tenant.
        ConfigError
            It would have expired already.
        """
        assert scope in TOKEN_SCOPES, scope
        now = datetime.now(UTC)
        if expires is not None and expires <= now:
            raise ConfigError("a token must expire in the future")
        secret = PREFIX + secrets.token_urlsafe(32)
        values = {
            "tenant": owner.name,
            "name": name,
            "scope": scope,
            "digest": digest(secret),
            "created": now,
            "expires": expires,
        }
        with self._database.write() as connection:
            known = sa.select(tenant.c.name).where(
                tenant.c.name == owner.name, within(tenant.c.name, self._scope)
            )
            if connection.execute(known).first() is None:
                raise no_tenant(owner)
            key = connection.execute(sa.insert(token).values(values)).inserted_primary_key
            assert key is not None
            return _row(connection.execute(sa.select(token).where(token.c.id == key[0])).one()), secret

    def check(self, secret: str) -> TokenRow | None:
        """The row of a valid token; None of any other text.

        The digest of what came is looked up: how long that takes tells nothing of the digests that are stored.
        """
        given = digest(secret)
        rows = self._database.select(
            sa.select(token).where(token.c.digest == given, within(token.c.tenant, self._scope))
        )
        if not rows or not secrets.compare_digest(rows[0].digest, given):
            return None
        row = _row(rows[0])
        return row if row.state(datetime.now(UTC)) == "valid" else None

    def search(self) -> list[TokenRow]:
        """All tokens, oldest first."""
        query = sa.select(token).where(within(token.c.tenant, self._scope)).order_by(token.c.id)
        return [_row(row) for row in self._database.select(query)]

    def revoke(self, token_id: int) -> TokenRow:
        """End a token at once; one that is revoked stays as it is.

        Raises
        ------
        TrackingError
            There is no such token.
        """
        mine = (token.c.id == token_id) & within(token.c.tenant, self._scope)
        with self._database.write() as connection:
            row = connection.execute(sa.select(token).where(mine).with_for_update()).one_or_none()
            if row is None:
                raise TrackingError(f"there is no token {token_id}; `fedtwin token list` lists those that are")
            if row.revoked is None:
                connection.execute(sa.update(token).where(mine).values(revoked=datetime.now(UTC)))
            return _row(connection.execute(sa.select(token).where(mine)).one())


def digest(secret: str) -> str:
    """What is stored of a token: SHA-256, in hexadecimal; 256 random bits need no salt and no slow hash."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


def _row(row: sa.Row[tuple[object, ...]]) -> TokenRow:
    return TokenRow(**{name: value for name, value in row._mapping.items() if name != "digest"})
