"""A secret does not show itself."""

import pickle

import msgspec
import pytest

from service.settings.secret import MASK, Secret

TEXT = "4fd1bb2e9ac07d35e8f61a90c2b7d4e3"


def test_no_way_of_printing_shows_it() -> None:
    secret = Secret(TEXT)
    assert (str(secret), repr(secret), f"{secret}", f"{secret!r:>30}".strip()) == (
        MASK,
        f"Secret('{MASK}')",
        MASK,
        f"Secret('{MASK}')",
    )
    assert secret.reveal() == TEXT


def test_no_codec_takes_it_by_itself() -> None:
    with pytest.raises(TypeError):
        msgspec.json.encode(Secret(TEXT))
    assert not hasattr(Secret(TEXT), "__dict__")


def test_equality() -> None:
    assert Secret(TEXT) == Secret(TEXT)
    assert Secret(TEXT) != Secret(TEXT[::-1])
    assert Secret(TEXT) != TEXT
    assert len({Secret(TEXT), Secret(TEXT)}) == 1


def test_it_reaches_another_process() -> None:
    assert pickle.loads(pickle.dumps(Secret(TEXT))) == Secret(TEXT)  # noqa: S301  (our own bytes)
