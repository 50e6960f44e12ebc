"""Passwords: which will do, and that nobody's is never right."""

import argon2
import pytest

from service.accounts.passwords import Passwords, check_password
from service.errors import InvalidInputError
from tests.accounts.conftest import PASSWORD, cheap


@pytest.mark.parametrize("password", [PASSWORD, "x9!kQ2#pLm7$", "пароль из слов", "a" * 252 + "bcde"])
def test_what_will_do(password: str) -> None:
    check_password(password, name="ada")


@pytest.mark.parametrize(
    ("password", "message"),
    [
        ("", "must have 12 to 256 characters"),
        ("elevenchars", "must have 12 to 256 characters"),
        ("a" * 257, "must have 12 to 256 characters"),
        ("abababababab", "repeats few characters"),
        ("Ada LovelaceAda Lovelace", "is the account's name"),
    ],
)
def test_what_will_not(password: str, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message) as caught:
        check_password(password, name="ada lovelace")
    assert caught.value.field == "password"
    assert password == "" or password not in str(caught.value)


def test_only_the_password_is_right(passwords: Passwords) -> None:
    hashed = passwords.hash(PASSWORD, name="ada")
    assert PASSWORD not in hashed.hash
    assert hashed.hash not in repr(hashed)
    assert hashed.hash != passwords.hash(PASSWORD, name="ada").hash
    assert passwords.verify(PASSWORD, stored=hashed.hash)
    for wrong in ("", PASSWORD + " ", PASSWORD.upper()):
        assert not passwords.verify(wrong, stored=hashed.hash)


def test_two_forms_of_one_character_are_one_password(passwords: Passwords) -> None:
    hashed = passwords.hash("caf\u00e9 au lait, twice", name="")
    assert passwords.verify("cafe\u0301 au lait, twice", stored=hashed.hash)
    assert not passwords.verify("cafe au lait, twice", stored=hashed.hash)


def test_what_is_too_long_is_wrong(passwords: Passwords) -> None:
    longest = "abcdefgh" * 32
    hashed = passwords.hash(longest, name="")
    assert passwords.verify(longest, stored=hashed.hash)
    assert not passwords.verify(longest + "x", stored=hashed.hash)


def test_nobodys_password_is_never_right(passwords: Passwords) -> None:
    assert not passwords.verify(PASSWORD, stored=None)
    assert not passwords.verify("", stored=None)
    assert not passwords.verify(PASSWORD, stored="not a hash")


def test_nobodys_password_costs_the_same_hash() -> None:
    """The work is that of Argon2, so it is counted, not timed."""

    class Counting(argon2.PasswordHasher):
        verified: list[str]

        def verify(self, hash: str | bytes, password: str | bytes) -> bool:  # type: ignore[override]  # noqa: A002  (its name there)
            self.verified.append(str(hash).rpartition("$")[0].rpartition("$")[0])
            return super().verify(hash, password)

    hasher = Counting(time_cost=1, memory_cost=8, parallelism=1)
    hasher.verified = []
    passwords = Passwords(hasher)
    stored = passwords.hash(PASSWORD, name="").hash
    passwords.verify("wrong", stored=stored)
    passwords.verify("wrong", stored=None)
    assert hasher.verified == ["$argon2id$v=19$m=8,t=1,p=1"] * 2


def test_a_hash_of_other_costs_is_renewed(passwords: Passwords) -> None:
    old = argon2.PasswordHasher(time_cost=2, memory_cost=8, parallelism=1).hash(PASSWORD)
    renewed = passwords.renewed(PASSWORD, stored=old)
    assert renewed is not None
    assert renewed.hash.startswith("$argon2id$v=19$m=8,t=1,p=1$")
    assert passwords.verify(PASSWORD, stored=renewed.hash)
    assert passwords.renewed(PASSWORD, stored=renewed.hash) is None


def test_the_default_cost_is_what_owasp_recommends() -> None:
    assert Passwords().hash(PASSWORD, name="").hash.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert cheap().memory_cost < 19456
