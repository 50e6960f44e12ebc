"""Accounts in the store, on SQLite and PostgreSQL."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from msgspec.structs import replace
from sqlalchemy import select

from service.accounts.links import LINK_LIFETIME, StoredLink
from service.accounts.passwords import HashedPassword, Passwords
from service.accounts.registry import AccountRegistry
from service.accounts.session_registry import SessionRegistry
from service.accounts.values import Account, Client, Identity, IdentityRoles
from service.audit.actor import Actor
from service.errors import ConflictError, InvalidInputError, NotFoundError
from service.store.audit_tables import account as account_table
from service.store.audit_tables import account_link, audit_entry
from service.store.engine import Store
from tests.accounts.conftest import PASSWORD
from tests.support.audit import TESTER, audited
from tests.support.clock import HandClock

STALE = "this link does not work any more"
ADA = Identity(issuer="https://id.example.com", subject="u-1", email="ada@example.com", email_verified=True)
ROLES = IdentityRoles(admins=("root@example.com",), viewers=("*@example.com",))


def actions(store: Store) -> list[str]:
    return [one.action for one in audited(store)]


def test_an_account_is_invited_then_active_then_disabled(
    store: Store, accounts: AccountRegistry, hashed: HashedPassword, clock: HandClock
) -> None:
    with store.write() as tx:
        made = accounts.create(tx, name="Ada", role="viewer", by=TESTER)
        assert (made.account.status, made.account.role, made.account.created_at) == (
            "invited",
            "viewer",
            clock.now(),
        )
        assert accounts.credentials(tx, "ada") == (made.account, None)
        clock.advance(timedelta(hours=1))
        account = accounts.redeem_link(tx, made.link.token, password=hashed)
        assert (account.status, account.password_changed_at) == ("active", clock.now())
        assert accounts.credentials(tx, "ADA") == (account, hashed.hash)
        disabled = accounts.disable(tx, account.id, by=TESTER)
        assert (disabled.status, disabled.disabled_at) == ("disabled", clock.now())
        assert accounts.credentials(tx, "ada") == (disabled, None)
        enabled = accounts.enable(tx, account.id, by=TESTER)
        assert enabled == replace(account, updated_at=enabled.updated_at)
        assert accounts.list(tx) == [enabled]
    assert actions(store) == [
        "account.create",
        "account.redeem_link",
        "account.disable",
        "account.enable",
    ]


def test_names_are_unique_without_regard_to_case(store: Store, accounts: AccountRegistry) -> None:
    with store.write() as tx:
        accounts.create(tx, name="Ada", role="viewer", by=TESTER)
        with pytest.raises(ConflictError, match="an account is named 'ADA' already"):
            accounts.create(tx, name="ADA", role="viewer", by=TESTER)
        with pytest.raises(InvalidInputError, match="an account's name must have"):
            accounts.create(tx, name="", role="viewer", by=TESTER)
        with pytest.raises(InvalidInputError, match="role must be"):
            accounts.create(tx, name="Bob", role="owner", by=TESTER)  # type: ignore[arg-type]  # as a caller could
    assert actions(store) == ["account.create"]


def test_find_takes_an_id_or_a_name(store: Store, accounts: AccountRegistry) -> None:
    with store.write() as tx:
        ada = accounts.create(tx, name="Ada", role="viewer", by=TESTER).account
        assert accounts.find(tx, "aDA") == accounts.find(tx, ada.id) == accounts.get(tx, ada.id) == ada
        for absent in ("", "ad%", "a\x00b", "x" * 101):
            with pytest.raises(NotFoundError, match="no account has the id or name"):
                accounts.find(tx, absent)
        with pytest.raises(NotFoundError, match="no account has the id 'Ada'"):
            accounts.get(tx, "Ada")


def test_neither_password_nor_token_is_in_the_store(
    store: Store, accounts: AccountRegistry, passwords: Passwords
) -> None:
    hashed = passwords.hash(PASSWORD, name="")
    with store.write() as tx:
        made = accounts.create(tx, name="Ada", role="viewer", by=TESTER)
        accounts.redeem_link(tx, made.link.token, password=hashed)
        stored = str(
            [tx.execute(select(table)).all() for table in (account_table, account_link, audit_entry)]
        )
        log = str(tx.execute(select(audit_entry)).all())
    assert PASSWORD not in stored
    assert made.link.token not in stored
    assert made.link.token not in repr(made)
    assert hashed.hash in stored
    assert hashed.hash not in log


def test_a_link_works_once(store: Store, accounts: AccountRegistry, hashed: HashedPassword) -> None:
    with store.write() as tx:
        made = accounts.create(tx, name="Ada", role="viewer", by=TESTER)
        found = accounts.find_link(tx, made.link.token)
        assert found == StoredLink(made.account.id, made.link.expires_at)
        accounts.redeem_link(tx, made.link.token, password=hashed)
        assert accounts.find_link(tx, made.link.token) is None
        with pytest.raises(NotFoundError, match=STALE):
            accounts.redeem_link(tx, made.link.token, password=hashed)


def test_a_link_ends_after_a_day(
    store: Store, accounts: AccountRegistry, hashed: HashedPassword, clock: HandClock
) -> None:
    with store.write() as tx:
        link = accounts.create(tx, name="Ada", role="viewer", by=TESTER).link
        assert link.expires_at == clock.now() + LINK_LIFETIME
        clock.advance(LINK_LIFETIME - timedelta(microseconds=1))
        assert accounts.find_link(tx, link.token) is not None
        clock.advance(timedelta(microseconds=1))
        assert accounts.find_link(tx, link.token) is None
        with pytest.raises(NotFoundError, match=STALE):
            accounts.redeem_link(tx, link.token, password=hashed)


@pytest.mark.parametrize("token", ["", "x", "A" * 43, "\x00" * 43])
def test_what_is_no_link(store: Store, accounts: AccountRegistry, hashed: HashedPassword, token: str) -> None:
    with store.write() as tx:
        assert accounts.find_link(tx, token) is None
        with pytest.raises(NotFoundError, match=STALE):
            accounts.redeem_link(tx, token, password=hashed)


def test_a_newer_link_takes_the_place_of_the_one_before(
    store: Store, accounts: AccountRegistry, hashed: HashedPassword
) -> None:
    with store.write() as tx:
        made = accounts.create(tx, name="Ada", role="viewer", by=TESTER)
        newer = accounts.reset(tx, made.account.id, by=TESTER)
        other = accounts.create(tx, name="Bob", role="viewer", by=TESTER)
        assert accounts.find_link(tx, made.link.token) is None
        assert accounts.find_link(tx, newer.token) is not None
        assert accounts.find_link(tx, other.link.token) is not None
        accounts.redeem_link(tx, newer.token, password=hashed)
    assert "account.reset" in actions(store)


def test_the_first_account_is_made_with_a_link(
    store: Store, accounts: AccountRegistry, hashed: HashedPassword
) -> None:
    with store.write() as tx:
        old = accounts.first_link(tx, by=TESTER)
        link = accounts.first_link(tx, by=TESTER)
        assert old is not None
        assert link is not None
        assert accounts.find_link(tx, old.token) is None
        assert accounts.find_link(tx, link.token) == StoredLink(None, link.expires_at)
        with pytest.raises(InvalidInputError, match="an account's name"):
            accounts.redeem_link(tx, link.token, password=hashed)
    with store.write() as tx:
        again = accounts.first_link(tx, by=TESTER)
        assert again is not None
        account = accounts.redeem_link(tx, again.token, password=hashed, name="Ada", address="192.0.2.9")
        assert (account.name, account.role, account.status) == ("Ada", "admin", "active")
        assert accounts.first_link(tx, by=TESTER) is None
    created = audited(store, "account.create")[-1]
    assert created.actor == Actor("system", "one-time_link", "one-time link", "192.0.2.9")
    assert audited(store, "account.redeem_link")[-1].actor == Actor("account", account.id, "Ada", "192.0.2.9")


def test_a_first_link_is_worth_nothing_once_there_is_an_account(
    store: Store, accounts: AccountRegistry, hashed: HashedPassword
) -> None:
    with store.write() as tx:
        link = accounts.first_link(tx, by=TESTER)
        assert link is not None
        accounts.create(tx, name="Bob", role="viewer", by=TESTER)
    with store.write() as tx, pytest.raises(NotFoundError, match=STALE):
        accounts.redeem_link(tx, link.token, password=hashed, name="Eve")
    with store.read() as tx:
        assert [one.name for one in accounts.list(tx)] == ["Bob"]


def test_a_name_beside_a_link_for_an_account_changes_nothing(
    store: Store, accounts: AccountRegistry, hashed: HashedPassword
) -> None:
    with store.write() as tx:
        made = accounts.create(tx, name="Ada", role="viewer", by=TESTER)
        account = accounts.redeem_link(tx, made.link.token, password=hashed, name="Eve")
    assert (account.name, account.role) == ("Ada", "viewer")


def test_a_new_password_ends_sessions_and_links(
    store: Store,
    accounts: AccountRegistry,
    sessions: SessionRegistry,
    hashed: HashedPassword,
    active: Callable[..., Account],
) -> None:
    ada, bob = active("Ada"), active("Bob")
    with store.write() as tx:
        kept, ended = (sessions.begin(tx, ada.id, client=Client()) for _ in range(2))
        others = sessions.begin(tx, bob.id, client=Client())
        link = accounts.reset(tx, ada.id, by=TESTER)
        accounts.set_password(tx, ada.id, password=hashed, by=TESTER, keep_session=kept.session.id)
        assert accounts.find_link(tx, link.token) is None
        assert sessions.resolve(tx, kept.token) is not None
        assert sessions.resolve(tx, ended.token) is None
        assert sessions.resolve(tx, others.token) is not None
        accounts.redeem_link(tx, accounts.reset(tx, ada.id, by=TESTER).token, password=hashed)
        assert sessions.resolve(tx, kept.token) is None
    assert audited(store, "account.set_password")[0].after == {"ended_sessions": 1}


def test_a_role_holds_for_open_sessions(
    store: Store, accounts: AccountRegistry, sessions: SessionRegistry, active: Callable[..., Account]
) -> None:
    ada = active("Ada", "viewer")
    with store.write() as tx:
        token = sessions.begin(tx, ada.id, client=Client()).token
        accounts.set_role(tx, ada.id, role="admin", by=TESTER)
        accounts.set_role(tx, ada.id, role="admin", by=TESTER)
        found = sessions.resolve(tx, token)
        with pytest.raises(InvalidInputError, match="role must be"):
            accounts.set_role(tx, ada.id, role="owner", by=TESTER)  # type: ignore[arg-type]  # as a caller could
    assert found is not None
    assert found.account.role == "admin"
    (changed,) = audited(store, "account.role")
    assert (changed.before, changed.after) == ({"role": "viewer"}, {"role": "admin"})


def test_disabling_ends_sessions_and_links_for_good(
    store: Store,
    accounts: AccountRegistry,
    sessions: SessionRegistry,
    hashed: HashedPassword,
    active: Callable[..., Account],
) -> None:
    ada = active("Ada")
    with store.write() as tx:
        token = sessions.begin(tx, ada.id, client=Client()).token
        link = accounts.reset(tx, ada.id, by=TESTER)
        first = accounts.disable(tx, ada.id, by=TESTER)
        assert accounts.disable(tx, ada.id, by=TESTER) == first
        for change in (
            lambda: accounts.reset(tx, ada.id, by=TESTER),
            lambda: accounts.set_password(tx, ada.id, password=hashed, by=TESTER),
            lambda: sessions.begin(tx, ada.id, client=Client()),
        ):
            with pytest.raises(ConflictError, match="disabled"):
                change()
        with pytest.raises(NotFoundError, match=STALE):
            accounts.redeem_link(tx, link.token, password=hashed)
        enabled = accounts.enable(tx, ada.id, by=TESTER)
        assert accounts.enable(tx, ada.id, by=TESTER) == enabled
        assert sessions.resolve(tx, token) is None
        with pytest.raises(NotFoundError, match=STALE):
            accounts.redeem_link(tx, link.token, password=hashed)
    assert actions(store)[-2:] == ["account.disable", "account.enable"]


def test_an_identity_gets_an_account_at_its_first_sign_in(store: Store, accounts: AccountRegistry) -> None:
    with store.write() as tx:
        first = accounts.account_for_oidc(tx, ADA, roles=ROLES)
        again = accounts.account_for_oidc(tx, ADA, roles=ROLES)
    assert first is not None
    assert first == again
    assert (first.name, first.role, first.status) == ("ada@example.com", "viewer", "active")
    assert first.identity == "https://id.example.com u-1"
    (created,) = audited(store)
    assert (created.action, created.actor.name) == ("account.create", "OpenID Connect sign-in")


def test_the_settings_decide_the_role_at_every_sign_in(
    store: Store, accounts: AccountRegistry, sessions: SessionRegistry
) -> None:
    with store.write() as tx:
        account = accounts.account_for_oidc(tx, ADA, roles=ROLES)
        assert account is not None
        token = sessions.begin(tx, account.id, client=Client()).token
        promoted = accounts.account_for_oidc(tx, ADA, roles=IdentityRoles(admins=("ada@example.com",)))
        assert promoted is not None
        assert promoted.role == "admin"
        assert sessions.resolve(tx, token) is not None
        assert accounts.account_for_oidc(tx, ADA, roles=IdentityRoles()) is None
        assert sessions.resolve(tx, token) is None
    assert actions(store) == ["account.create", "account.sign_in", "account.role"]


def test_whom_the_settings_do_not_name_gets_no_account(store: Store, accounts: AccountRegistry) -> None:
    with store.write() as tx:
        assert accounts.account_for_oidc(tx, ADA, roles=IdentityRoles()) is None
        assert accounts.list(tx) == []


def test_an_identity_takes_no_account_over(
    store: Store, accounts: AccountRegistry, active: Callable[..., Account]
) -> None:
    mine = active("Ada@Example.com", "admin")
    other_issuer = replace(ADA, issuer="https://other.example.com")
    with store.write() as tx:
        first = accounts.account_for_oidc(tx, ADA, roles=ROLES)
        second = accounts.account_for_oidc(tx, other_issuer, roles=ROLES)
    assert first is not None
    assert second is not None
    assert {first.name, second.name} == {"ada@example.com (2)", "ada@example.com (3)"}
    assert len({mine.id, first.id, second.id}) == 3
    assert first.role == "viewer"


def test_a_disabled_identity_stays_out(store: Store, accounts: AccountRegistry) -> None:
    with store.write() as tx:
        account = accounts.account_for_oidc(tx, ADA, roles=ROLES)
        assert account is not None
        accounts.disable(tx, account.id, by=TESTER)
        assert accounts.account_for_oidc(tx, ADA, roles=ROLES) is None


def test_an_identity_has_no_password(store: Store, accounts: AccountRegistry, hashed: HashedPassword) -> None:
    with store.write() as tx:
        account = accounts.account_for_oidc(tx, ADA, roles=ROLES)
        assert account is not None
        with pytest.raises(ConflictError, match="signs in with an identity provider"):
            accounts.reset(tx, account.id, by=TESTER)
        with pytest.raises(ConflictError, match="signs in with an identity provider"):
            accounts.set_password(tx, account.id, password=hashed, by=TESTER)
        assert accounts.credentials(tx, account.name) == (account, None)


@pytest.mark.parametrize("email", [" \x00\x1b ", "x" * 300])
def test_any_address_can_be_called_something(store: Store, accounts: AccountRegistry, email: str) -> None:
    with store.write() as tx:
        account = accounts.account_for_oidc(
            tx, replace(ADA, email=email), roles=IdentityRoles(viewers=("sub:u-1",))
        )
    assert account is not None
    assert 1 <= len(account.name) <= 100
    assert account.name.isprintable()


def test_a_hash_is_renewed_unless_the_password_changed(
    store: Store, accounts: AccountRegistry, passwords: Passwords, active: Callable[..., Account]
) -> None:
    ada = active("Ada")
    new, late = (passwords.hash(PASSWORD, name="") for _ in range(2))
    with store.write() as tx:
        old = accounts.credentials(tx, "Ada")[1]
        assert old is not None
        accounts.renew_hash(tx, ada.id, old=old, new=new)
        accounts.renew_hash(tx, ada.id, old=old, new=late)
        assert accounts.credentials(tx, "Ada") == (ada, new.hash)
