"""Who may call: every key of the store in memory, immutable, judged without I/O.

A key is found by its public id and its secret compared in constant time; an unknown id costs the same digest and
comparison. What is known of a refused key goes into the record, never to the client, who sees one answer.
"""

import hmac
from collections.abc import Mapping
from datetime import datetime
from hmac import compare_digest
from typing import Any, Literal

import msgspec
from sqlalchemy import Connection, select

from service.content.policy import Capture, capture_from
from service.keys.models import ModelMatcher
from service.keys.secrets import Peppers
from service.keys.token import digest, parse
from service.keys.values import Limits, Role, limits_from
from service.settings import Secret
from service.store.project_tables import project
from service.store.tables import admin_key, key_secret, virtual_key

Reason = Literal["missing", "malformed", "unknown", "revoked", "expired"]
CONFIGURED_ADMIN = "TOLLKEEPER_ADMIN_KEY"
_NO_DIGEST = bytes(32)


class KeyGrant(msgspec.Struct, frozen=True, kw_only=True):
    """A valid virtual key."""

    key_id: str
    name: str
    project: str
    models: ModelMatcher
    metadata: Mapping[str, Any] | None = None
    limits: Limits | None = None
    project_limits: Limits | None = None
    capture: Capture | None = None
    """What the project keeps of content; None keeps nothing."""

    def allows(self, model: str) -> bool:
        """Whether the key may use *model*."""
        return self.models.allows(model)


class KeyRefusal(msgspec.Struct, frozen=True):
    """Why a key is not honoured; *grant* is the key itself where its secret was right."""

    reason: Reason
    grant: KeyGrant | None = None

    @property
    def key_id(self) -> str | None:
        """The key's id, if its secret was right."""
        return None if self.grant is None else self.grant.key_id


class AdminGrant(msgspec.Struct, frozen=True):
    """A valid admin key. *id* is its public id, or `configured` for the one of the settings."""

    role: Role
    name: str
    id: str


class StoredSecret(msgspec.Struct, frozen=True):
    """One secret of a virtual key; *ends_at* is the earlier of its own end and the key's.

    *revoked* also where the key's project is archived.
    """

    digest: bytes
    grant: KeyGrant
    ends_at: datetime | None
    revoked: bool


class KeySnapshot:
    """All keys at one revision of the store."""

    __slots__ = ("_admins", "_configured", "_mac", "_peppers", "_secrets")

    def __init__(
        self,
        peppers: Peppers,
        *,
        secrets: Mapping[str, StoredSecret],
        admins: Mapping[str, tuple[bytes, AdminGrant]],
        configured_admin: Secret | None,
    ) -> None:
        self._peppers = peppers
        self._mac = hmac.new(peppers.virtual, digestmod="sha256")
        self._secrets = secrets
        self._admins = admins
        configured = None if configured_admin is None else configured_admin.reveal()
        self._configured = None if configured is None else digest(peppers.admin, configured)

    def authenticate(self, bearer: str, *, now: datetime) -> KeyGrant | KeyRefusal:
        """Judge the token of an Authorization header (`token.bearer_token`)."""
        if not bearer:
            return _MISSING
        parts = parse(bearer)
        if parts is None or parts.kind != "tk":
            return _MALFORMED
        stored = self._secrets.get(parts.public_id)
        known = _NO_DIGEST if stored is None else stored.digest
        matches = compare_digest(self._digest(parts.secret), known)
        if stored is None or not matches:
            return _UNKNOWN
        if stored.revoked:
            return KeyRefusal("revoked", stored.grant)
        if stored.ends_at is not None and stored.ends_at <= now:
            return KeyRefusal("expired", stored.grant)
        return stored.grant

    def _digest(self, secret: str) -> bytes:
        """As `token.digest`, from a prepared state: `hmac.digest` would let another thread take the interpreter."""
        mac = self._mac.copy()
        mac.update(secret.encode())
        return mac.digest()

    def authenticate_admin(self, bearer: str) -> AdminGrant | None:
        """The grant of the configured admin key or of one in the store."""
        if not bearer:
            return None
        if self._configured is not None and compare_digest(
            digest(self._peppers.admin, bearer), self._configured
        ):
            return AdminGrant("admin", CONFIGURED_ADMIN, "configured")
        parts = parse(bearer)
        if parts is None or parts.kind != "tka":
            return None
        known, grant = self._admins.get(parts.public_id, (_NO_DIGEST, None))
        return grant if compare_digest(digest(self._peppers.admin, parts.secret), known) else None

    def __len__(self) -> int:
        """How many secrets of virtual keys it holds."""
        return len(self._secrets)


def load_keys(tx: Connection, *, peppers: Peppers, configured_admin: Secret | None) -> KeySnapshot:
    """Every key of the store, as *tx* sees it."""
    columns = [
        key_secret.c.public_id,
        key_secret.c.digest,
        key_secret.c.expires_at.label("secret_ends_at"),
        project.c.limits.label("project_limits"),
        project.c.capture,
        project.c.archived_at,
    ]
    query = (
        select(*columns, virtual_key)
        .join_from(key_secret, virtual_key)
        .outerjoin(project, project.c.name == virtual_key.c.project)
    )
    grants: dict[str, KeyGrant] = {}
    secrets = {}
    for row in tx.execute(query):
        grant = grants.get(row.id) or grants.setdefault(row.id, _grant(row))
        ends_at = min(filter(None, (row.expires_at, row.secret_ends_at)), default=None)
        revoked = row.revoked_at is not None or row.archived_at is not None
        secrets[row.public_id] = StoredSecret(bytes(row.digest), grant, ends_at, revoked)
    admins = {
        row.public_id: (bytes(row.digest), AdminGrant(row.role, row.name, row.public_id))
        for row in tx.execute(select(admin_key).where(admin_key.c.revoked_at.is_(None)))
    }
    return KeySnapshot(peppers, secrets=secrets, admins=admins, configured_admin=configured_admin)


def _grant(row: Any) -> KeyGrant:
    return KeyGrant(
        key_id=row.id,
        name=row.name,
        project=row.project,
        models=ModelMatcher(row.models),
        metadata=row.metadata,
        limits=limits_from(row.limits),
        project_limits=limits_from(row.project_limits),
        capture=capture_from(row.capture),
    )


_MISSING = KeyRefusal("missing")
_MALFORMED = KeyRefusal("malformed")
_UNKNOWN = KeyRefusal("unknown")
