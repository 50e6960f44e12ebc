"""Compressed copies: read step by step, and not beyond their budget."""

import gzip

import pytest

from service.usage import encoding
from service.usage.encoding import ContentDecoder, is_identity


@pytest.mark.parametrize(
    ("name", "plain"), [(None, True), ("", True), (" Identity", True), ("gzip", False), ("br", False)]
)
def test_identity(name: str | None, *, plain: bool) -> None:
    assert is_identity(name) is plain


def test_bytes_come_out_as_they_come_in() -> None:
    data = gzip.compress(b"hello " * 1000)
    decoder = ContentDecoder("gzip")
    assert b"".join(decoder.decode(data[at : at + 1]) for at in range(len(data))) == b"hello " * 1000


def test_a_small_bomb_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoding, "LARGEST_EXPANSION", 3 * 1024 * 1024)
    bomb = gzip.compress(b"\0" * (20 * 1024 * 1024))
    decoder = ContentDecoder("gzip")
    out = decoder.decode(bomb)
    assert len(out) <= 4 * 1024 * 1024
    assert not decoder.readable
    assert decoder.decode(bomb) == b""
