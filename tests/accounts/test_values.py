"""What an account may be called, and which role an identity has."""

from typing import Any

import pytest

from service.accounts.values import Identity, IdentityRoles, check_account_name, check_role, identity_of
from service.errors import InvalidInputError


@pytest.mark.parametrize("name", ["Ada", "ada@example.com", "Ada Lovelace", "Ü", "a" * 100])
def test_names_that_will_do(name: str) -> None:
    assert check_account_name(name) == name.casefold()


@pytest.mark.parametrize("name", ["", " Ada", "Ada ", "a\nb", "a\x00b", "a" * 101, "\ufdfa" * 100])
def test_names_that_will_not(name: str) -> None:
    with pytest.raises(InvalidInputError, match="an account's name must have 1 to 100 printable") as caught:
        check_account_name(name)
    assert caught.value.field == "name"


def test_names_are_compared_without_case_and_form() -> None:
    assert check_account_name("STRASSE") == check_account_name("straße")
    assert check_account_name("ﬁn") == check_account_name("FIN")


def test_roles() -> None:
    check_role("viewer")
    with pytest.raises(InvalidInputError, match="role must be admin or viewer"):
        check_role("owner")


CLAIMS: dict[str, Any] = {
    "iss": "https://id.example.com",
    "sub": "u-1",
    "email": "Ada@Example.com",
    "email_verified": True,
    "groups": ["finance", 7],
}


def test_an_identity_from_claims() -> None:
    assert identity_of(CLAIMS) == Identity(
        issuer="https://id.example.com",
        subject="u-1",
        email="Ada@Example.com",
        email_verified=True,
        groups=("finance",),
    )
    plain = identity_of({"iss": "i", "sub": "s", "email": 5, "email_verified": "true", "groups": "finance"})
    assert plain == Identity(issuer="i", subject="s")
    assert (plain.text, plain.name) == ("i s", "s")
    assert identity_of(CLAIMS).name == "Ada@Example.com"
    assert identity_of({**CLAIMS, "email_verified": False}).name == "u-1"


@pytest.mark.parametrize(
    "claims",
    [{}, {"iss": "i"}, {"sub": "s"}, {"iss": "", "sub": "s"}, {"iss": "i", "sub": 7}, {"iss": "i", "sub": "s" * 600},
     {"iss": "i j", "sub": "s"}, {"iss": "i", "sub": "a\x00"}],
)  # fmt: skip
def test_claims_that_identify_nobody(claims: dict[str, object]) -> None:
    with pytest.raises(InvalidInputError, match="the identity provider's"):
        identity_of(claims)


@pytest.mark.parametrize(
    ("admins", "viewers", "role"),
    [
        ((), (), None),
        (("ada@example.com",), (), "admin"),
        ((), ("*@example.com",), "viewer"),
        (("*@example.com",), ("*",), "admin"),
        ((), ("*@example.org",), None),
        ((), ("*@example.com.evil",), None),
        ((), ("group:finance",), "viewer"),
        ((), ("group:fin*",), None),
        (("sub:u-1",), (), "admin"),
        (("sub:u-2",), ("group:finance",), "viewer"),
    ],
)
def test_roles_of_identities(admins: tuple[str, ...], viewers: tuple[str, ...], role: str | None) -> None:
    assert IdentityRoles(admins=admins, viewers=viewers).role_of(identity_of(CLAIMS)) == role


def test_an_address_that_nobody_verified_gives_no_role() -> None:
    roles = IdentityRoles(admins=("*",))
    assert roles.role_of(identity_of({**CLAIMS, "email_verified": False})) is None
    assert roles.role_of(identity_of({**CLAIMS, "email": None})) is None
