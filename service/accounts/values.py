"""Accounts and sessions as values, and the rules for what may be given. Pure."""

import unicodedata
from collections.abc import Mapping
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from typing import Literal

import msgspec

from service.audit.actor import Actor, Target
from service.errors import InvalidInputError
from service.settings.checks import label_problem

Role = Literal["admin", "viewer"]
AccountStatus = Literal["active", "invited", "disabled"]
ROLES: tuple[Role, ...] = ("admin", "viewer")
NAME_LENGTH = 100
_FOLDED_LENGTH = 400
SUBJECT_LENGTH = 600


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """Someone who may sign in. *identity* is the issuer and subject of OpenID Connect, in place of a password."""

    id: str
    name: str
    role: Role
    has_password: bool
    identity: str | None
    created_at: datetime
    updated_at: datetime
    password_changed_at: datetime | None
    signed_in_at: datetime | None
    disabled_at: datetime | None

    @property
    def status(self) -> AccountStatus:
        """Whether they can sign in; `invited` have not set a password yet."""
        if self.disabled_at is not None:
            return "disabled"
        return "active" if self.has_password or self.identity is not None else "invited"

    @property
    def actor(self) -> Actor:
        """The account as the audit log names who did something."""
        return Actor("account", self.id, self.name)

    @property
    def target(self) -> Target:
        """The account as the audit log names what was changed."""
        return Target("account", self.id, self.name)


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody signed in on one browser. Its token is with the browser only."""

    id: str
    account_id: str
    created_at: datetime
    seen_at: datetime
    expires_at: datetime
    address: str | None
    user_agent: str | None


class SignedIn(msgspec.Struct, frozen=True):
    """Who sends a session's token."""

    account: Account
    session: Session


class Client(msgspec.Struct, frozen=True):
    """Where a browser is, as far as the server can tell."""

    address: str | None = None
    user_agent: str | None = None


class SessionRules(msgspec.Struct, frozen=True):
    """How long a session lasts at most, and without being used."""

    lifetime: timedelta = timedelta(days=7)
    idle: timedelta = timedelta(hours=12)


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """What an OpenID provider vouches for, from the claims of a verified token."""

    issuer: str
    subject: str
    email: str | None = None
    email_verified: bool = False
    groups: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """Issuer and subject: what identifies the account. An e-mail address may come to belong to somebody else."""
        return f"{self.issuer} {self.subject}"

    @property
    def name(self) -> str:
        """What to call them."""
        return self.email if self.email is not None and self.email_verified else self.subject


class IdentityRoles(msgspec.Struct, frozen=True, kw_only=True):
    """Which identities have which role, by the operator's settings; the admins' list comes first.

    An entry is a verified e-mail address (`*@example.com` for all of a domain), `group:<name>` or `sub:<subject>`.
    """

    admins: tuple[str, ...] = ()
    viewers: tuple[str, ...] = ()

    def role_of(self, identity: Identity) -> Role | None:
        """The role; None for somebody who may not sign in."""
        if any(_matches(entry, identity) for entry in self.admins):
            return "admin"
        return "viewer" if any(_matches(entry, identity) for entry in self.viewers) else None


def identity_of(claims: Mapping[str, object]) -> Identity:
    """The identity of verified *claims*.

    Raises:
        InvalidInputError: there is no issuer or no subject, or they are too long.
    """
    issuer, subject, email, groups = (claims.get(name) for name in ("iss", "sub", "email", "groups"))
    if not isinstance(issuer, str) or not isinstance(subject, str) or not issuer or not subject:
        raise InvalidInputError("the identity provider's token names no issuer or no subject", field="claims")
    identity = Identity(
        issuer=issuer,
        subject=subject,
        email=email if isinstance(email, str) and email else None,
        email_verified=claims.get("email_verified") is True,
        groups=tuple(name for name in groups if isinstance(name, str)) if isinstance(groups, list) else (),
    )
    if len(identity.text) > SUBJECT_LENGTH or not identity.text.isprintable() or " " in issuer:
        raise InvalidInputError("the identity provider's issuer or subject cannot be stored", field="claims")
    return identity


def check_account_name(name: str) -> str:
    """The name as it is compared: 1 to 100 printable characters, without regard to case and Unicode form."""
    folded = fold(name)
    given = name if len(folded) <= _FOLDED_LENGTH else ""
    if problem := label_problem(given, longest=NAME_LENGTH):
        raise InvalidInputError(f"an account's name {problem}", field="name")
    return folded


def fold(name: str) -> str:
    """*name* as it is compared."""
    return unicodedata.normalize("NFKC", name).casefold()


def check_role(role: str) -> None:
    """A role is admin or viewer."""
    if role not in ROLES:
        raise InvalidInputError("role must be admin or viewer", field="role")


def _matches(entry: str, identity: Identity) -> bool:
    kind, colon, value = entry.partition(":")
    if colon and kind == "group":
        return value in identity.groups
    if colon and kind == "sub":
        return value == identity.subject
    if identity.email is None or not identity.email_verified:
        return False
    return fnmatchcase(identity.email.casefold(), entry.casefold())
