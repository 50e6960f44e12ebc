"""Passwords: which ones will do, and their Argon2id hashes (RFC 9106; 19 MiB, 2 passes, 1 lane, as OWASP recommends).

A hash takes tens of milliseconds and 19 MiB, so it is never made inside a transaction, and a process makes few at
once. Verifying costs the same whether there is an account or not.
"""

import threading
import unicodedata
from secrets import token_urlsafe

import argon2
import msgspec
from argon2.exceptions import InvalidHashError, VerificationError

from service.accounts.values import fold
from service.errors import InvalidInputError

SHORTEST = 12
LONGEST = 256
_DIFFERENT = 5
AT_ONCE = 4


class HashedPassword(msgspec.Struct, frozen=True):
    """A password that will do, as the store keeps it."""

    hash: str

    def __repr__(self) -> str:
        return "HashedPassword(********)"


class Passwords:
    """Hashes and verifies. *hasher* holds the cost parameters."""

    def __init__(self, hasher: argon2.PasswordHasher | None = None) -> None:
        self._hasher = hasher or argon2.PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
        self._turn = threading.Semaphore(AT_ONCE)
        self._nobodys = self._hasher.hash(token_urlsafe())

    def hash(self, password: str, *, name: str) -> HashedPassword:
        """The hash of a new password for the account *name*.

        Raises:
            InvalidInputError: too short, too long, or too easy to guess.
        """
        check_password(password, name=name)
        with self._turn:
            return HashedPassword(self._hasher.hash(_bytes(password)))

    def verify(self, password: str, *, stored: str | None) -> bool:
        """Whether *password* is the one of *stored*; None, for nobody's, takes as long and is never right."""
        with self._turn:
            try:
                known = self._nobodys if stored is None else stored
                right = self._hasher.verify(known, _bytes(password[:LONGEST]))
            except (VerificationError, InvalidHashError):
                return False
        return right and stored is not None and len(password) <= LONGEST

    def renewed(self, password: str, *, stored: str) -> HashedPassword | None:
        """A hash at today's cost parameters, if *stored* was made with others."""
        if not self._hasher.check_needs_rehash(stored):
            return None
        with self._turn:
            return HashedPassword(self._hasher.hash(_bytes(password)))


def check_password(password: str, *, name: str) -> None:
    """Refuse what is guessed first: short ones, repetitions, the account's name."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise InvalidInputError(
            f"a password must have {SHORTEST} to {LONGEST} characters; a few words will do", field="password"
        )
    if len(set(password)) < _DIFFERENT:
        raise InvalidInputError("the password repeats few characters; choose another", field="password")
    if fold(name) and fold(password).replace(fold(name), "") == "":
        raise InvalidInputError("the password is the account's name; choose another", field="password")


def _bytes(password: str) -> bytes:
    """The password as it is hashed: two keyboards may send the same character in two forms."""
    return unicodedata.normalize("NFKC", password).encode("utf-8", "surrogatepass")
