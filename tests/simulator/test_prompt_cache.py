"""The prompt cache follows OpenAI's rule: whole blocks of 128 tokens of a repeated prefix, from 1,024 on."""

import pytest

from service.simulator.prompt_cache import PromptCache

BLOCK = 512  # characters


def prompt(blocks: int, *, start: int = 0) -> bytes:
    return b"".join(b"%0512d" % (start + index) for index in range(blocks))


@pytest.mark.parametrize(("blocks", "cached"), [(7, 0), (8, 1024), (9, 1152)])
def test_caching_starts_at_1024_tokens(blocks: int, cached: int) -> None:
    cache = PromptCache()
    assert cache.look_up(prompt(blocks), owner="a") == 0
    assert cache.look_up(prompt(blocks) + b"the rest", owner="a") == cached


def test_only_the_common_prefix_is_cached() -> None:
    cache = PromptCache()
    cache.look_up(prompt(20), owner="a")
    changed = prompt(10) + b"x" * BLOCK + prompt(9, start=11)
    assert cache.look_up(changed, owner="a") == 10 * 128


def test_owners_are_apart() -> None:
    cache = PromptCache()
    cache.look_up(prompt(20), owner="a")
    assert cache.look_up(prompt(20), owner="b") == 0


def test_the_oldest_blocks_are_forgotten() -> None:
    cache = PromptCache(capacity=20)
    cache.look_up(prompt(20), owner="a")
    cache.look_up(prompt(20, start=100), owner="a")
    assert cache.look_up(prompt(20, start=100), owner="a") == 20 * 128
    assert cache.look_up(prompt(20), owner="a") == 0
