"""Compressed copies: read step by step, and not beyond their budget."""

import gzip
import json
import tracemalloc
import zlib

import pytest

from service.usage import encoding
from service.usage.body import BodyMeter
from service.usage.dialects import AUTO
from service.usage.encoding import LARGEST_EXPANSION, PIECE, ContentDecoder, is_identity
from service.usage.meter import StreamMeter

MIB = 1024 * 1024
EVENT = b'data: {"id":"c-1","model":"m","choices":[{"index":0,"delta":{"content":"Hello world"}}]}\n\n'


@pytest.mark.parametrize(
    ("name", "plain"), [(None, True), ("", True), (" Identity", True), ("gzip", False), ("br", False)]
)
def test_identity(name: str | None, *, plain: bool) -> None:
    assert is_identity(name) is plain


def test_bytes_come_out_as_they_come_in() -> None:
    data = gzip.compress(b"hello " * 1000)
    decoder = ContentDecoder("gzip")
    pieces = [piece for at in range(len(data)) for piece in decoder.decode(data[at : at + 1])]
    assert b"".join(pieces) == b"hello " * 1000
    assert decoder.flag is None


def test_several_members_are_one_text() -> None:
    data = gzip.compress(b"one ") + gzip.compress(b"two ") + gzip.compress(b"three")
    for size in (1, 7, len(data)):
        decoder = ContentDecoder("gzip")
        cut = [data[at : at + size] for at in range(0, len(data), size)]
        assert b"".join(piece for part in cut for piece in decoder.decode(part)) == b"one two three"


def test_honest_streams_are_read_however_repetitive() -> None:
    plain = EVENT * 20_000 + b"data: [DONE]\n\n"
    decoder = ContentDecoder("gzip")
    assert b"".join(decoder.decode(gzip.compress(plain))) == plain
    assert decoder.flag is None


def test_a_bomb_is_given_up_in_proportion_to_its_bytes() -> None:
    """64 KiB of it would be 64 MiB; a two-hundredth is read, in pieces."""
    bomb = gzip.compress(b"\0" * (64 * MIB))
    decoder = ContentDecoder("gzip")
    sizes = [len(piece) for piece in decoder.decode(bomb)]
    assert max(sizes) <= PIECE
    assert sum(sizes) <= MIB + encoding.MOST_EXPANSION * len(bomb)
    assert decoder.flag == "inflated"
    assert list(decoder.decode(bomb)) == []


def test_no_answer_is_read_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoding, "LARGEST_EXPANSION", 3 * MIB)
    monkeypatch.setattr(encoding, "MOST_EXPANSION", 10**6)
    decoder = ContentDecoder("gzip")
    assert sum(map(len, decoder.decode(gzip.compress(b"\0" * (20 * MIB))))) <= 3 * MIB
    assert decoder.flag == "inflated"


@pytest.mark.parametrize("make", [StreamMeter, BodyMeter])
def test_a_meter_gives_up_a_bomb_with_what_it_has(make: type[StreamMeter] | type[BodyMeter]) -> None:
    """The client gets every byte; the books get what was read before, flagged, and memory stays small."""
    start = (
        EVENT if make is StreamMeter else b'{"id":"c-1","model":"m","choices":[{"message":{"content":"Hello"'
    )
    bomb = gzip.compress(start + b" " * (200 * MIB))
    meter = make(AUTO, encoding="gzip")
    tracemalloc.start()
    forwarded = b"".join(meter.feed(bomb[at : at + 16_384]) for at in range(0, len(bomb), 16_384))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    facts = meter.result()
    assert forwarded == bomb
    assert "inflated" in facts.usage_flags
    assert (facts.usage, facts.usage_source, facts.response_id) == (None, "none", "c-1")
    assert meter.generated().words > 0
    assert peak < LARGEST_EXPANSION + 2 * len(bomb)


def test_usage_after_an_honest_compressed_body_is_read() -> None:
    body = json.dumps({"id": "c", "usage": {"prompt_tokens": 3, "completion_tokens": 4}}).encode()
    meter = BodyMeter(AUTO, encoding="deflate")
    meter.feed(zlib.compress(body))
    facts = meter.result()
    assert facts.usage is not None
    assert facts.usage.input_tokens == 3
