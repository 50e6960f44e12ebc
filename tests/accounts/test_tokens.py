"""Secrets of sessions and links."""

import random
from datetime import UTC, datetime

import pytest

from service.accounts.tokens import digest_of, mint, new_id

KEY = b"k" * 32


def test_a_token_is_found_by_its_digest() -> None:
    token = mint(random.Random(1).randbytes, key=KEY, purpose="session")
    assert len(token.text) == 43
    assert len(token.digest) == 32
    assert digest_of(token.text, key=KEY, purpose="session") == token.digest
    assert token.text not in repr(token)


def test_a_token_serves_one_purpose_of_one_installation() -> None:
    token = mint(random.Random(1).randbytes, key=KEY, purpose="session")
    others = {
        digest_of(token.text, key=KEY, purpose="link"),
        digest_of(token.text, key=b"other", purpose="session"),
    }
    assert token.digest not in others


@pytest.mark.parametrize("text", ["", "a" * 42, "a" * 44, "a" * 42 + "=", "a" * 42 + "\n", "ä" * 43])
def test_what_is_no_token(text: str) -> None:
    assert digest_of(text, key=KEY, purpose="session") is None


def test_later_ids_sort_later() -> None:
    ids = [
        new_id("acc", now=datetime(2026, month, 1, tzinfo=UTC), random_bytes=random.Random(month).randbytes)
        for month in range(1, 13)
    ]
    assert ids == sorted(ids)
    assert len(ids[0]) <= 40
