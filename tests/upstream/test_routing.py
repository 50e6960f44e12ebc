"""Which upstreams are asked for a model, and in which order."""

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import ModelNotFoundError
from service.settings import UpstreamSettings
from service.upstream.provider import Provider, provider_from
from service.upstream.routing import CACHE_SIZE, LONGEST_CACHED, Router


def provider(name: str, *models: str, priority: int = 0, weight: int = 1) -> Provider:
    return provider_from(
        UpstreamSettings(
            name=name, base_url="http://a/v1", models=models or ("*",), priority=priority, weight=weight
        )
    )


def router(*providers: Provider, seed: int = 0) -> Router:
    return Router(providers, chance=random.Random(seed).random)


def names(providers: tuple[Provider, ...]) -> list[str]:
    return [each.name for each in providers]


@pytest.mark.parametrize(
    ("pattern", "model", "serves"),
    [
        ("gpt-4o", "gpt-4o", True),
        ("gpt-4o", "gpt-4o-mini", False),
        ("gpt-4o", "a-gpt-4o", False),
        ("gpt-4o", "GPT-4o", False),
        ("gpt-4o", "gpt-4o\n", False),
        ("gpt-*", "gpt-", True),
        ("gpt-*", "gpt-4\no", True),
        ("gpt.4", "gptx4", False),
        ("*", "", True),
        ("*", "any/thing at all", True),
        ("o?", "o1", True),
        ("o?", "o12", False),
        ("[ab]1", "b1", True),
        ("[!ab]1", "b1", False),
    ],
)
def test_patterns(pattern: str, model: str, serves: bool) -> None:  # noqa: FBT001  (a table's column)
    routes = router(provider("other", "other"), provider("a", "x", pattern))
    for _ in range(2):
        if serves:
            assert names(routes.candidates(model)) == ["a"]
            continue
        with pytest.raises(ModelNotFoundError):
            routes.candidates(model)


def test_lower_priority_comes_first_whatever_chance_says() -> None:
    routes = router(
        provider("last", priority=9, weight=1000), provider("first", priority=0), provider("mid", priority=5)
    )
    assert {tuple(names(routes.candidates("m"))) for _ in range(100)} == {("first", "mid", "last")}
    assert names(routes.providers) == ["first", "mid", "last"]


def test_weight_is_the_share_of_first_places() -> None:
    routes = router(provider("a", weight=3), provider("b", weight=1), seed=1)
    first = Counter(names(routes.candidates("m"))[0] for _ in range(4000))
    assert 2850 < first["a"] < 3150


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(1, 10**6)), min_size=1, max_size=6), st.integers())
def test_everybody_who_serves_is_asked_once_in_the_order_of_priority(
    drawn: list[tuple[int, int]], seed: int
) -> None:
    providers = [provider(str(n), priority=p, weight=w) for n, (p, w) in enumerate(drawn)]
    found = router(*providers, seed=seed).candidates("m")
    assert sorted(names(found)) == sorted(names(tuple(providers)))
    assert [each.priority for each in found] == sorted(each.priority for each in providers)


def test_the_extremes_of_chance() -> None:
    for chance in (0.0, 0.999_999_999):
        routes = Router([provider("a", weight=10**6), provider("b")], chance=lambda chance=chance: chance)  # type: ignore[misc]  # mypy cannot type the default
        assert sorted(names(routes.candidates("m"))) == ["a", "b"]


def test_the_cache_is_bounded_in_number_and_length() -> None:
    routes = router(provider("a", "known-*"))
    for number in range(CACHE_SIZE + 10):
        routes.candidates(f"known-{number}")
    assert len(routes._cache) <= CACHE_SIZE
    long = "known-" + "x" * LONGEST_CACHED
    assert names(routes.candidates(long)) == ["a"]
    assert long not in routes._cache


def test_a_name_that_nobody_serves_is_quoted_within_bounds() -> None:
    routes = router(provider("a", "a"))
    with pytest.raises(ModelNotFoundError, match="`b`"):
        routes.candidates("b")
    with pytest.raises(ModelNotFoundError) as caught:
        routes.candidates("b" * 100_000)
    assert len(str(caught.value)) < 200


def test_no_upstream_at_all() -> None:
    with pytest.raises(ModelNotFoundError):
        router().candidates("m")
