"""Addresses, networks, zones and patterns."""

import pytest

from service.errors import ConfigurationError
from service.settings.checks import check_base_url, check_network, check_timezone, model_pattern_problem


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("https://api.openai.com/v1", "https://api.openai.com/v1"),
        ("http://127.0.0.1:8000/", "http://127.0.0.1:8000"),
        ("http://[::1]:8000/v1//", "http://[::1]:8000/v1"),
        ("https://host/api%20x", "https://host/api%20x"),
    ],
)
def test_addresses_that_work(given: str, kept: str) -> None:
    assert check_base_url(given, key="k") == kept


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("api.openai.com/v1", "must be an http:// or https:// URL with a host"),
        ("ftp://host/v1", "must be an http:// or https:// URL with a host"),
        ("https:///v1", "must be an http:// or https:// URL with a host"),
        ("https://host:0/v1", "must be an http:// or https:// URL with a host"),
        ("https://host:99999/v1", "k is not a URL"),
        ("https://[::1/v1", "k is not a URL"),
        ("https://me:pw@host/v1", "must not hold a user or password"),
        ("https://@host/v1", "must not hold a user or password"),
        ("https://host/v1?a=b", "must not have a query or a fragment"),
        ("https://host/v1?", "must not have a query or a fragment"),
        ("https://host/v1#a", "must not have a query or a fragment"),
        ("https://host/v 1", "holds a character that no URL has"),
        ("https://host\\@evil/v1", "must not hold a user or password"),
        ("https://host/\\v1", "holds a character that no URL has"),
        ("https://hóst/v1", "holds a character that no URL has"),
    ],
)
def test_addresses_that_are_refused(given: str, reason: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^k ") as caught:
        check_base_url(given, key="k")
    assert reason in str(caught.value)
    assert "pw" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "kept"),
    [("10.0.0.0/8", "10.0.0.0/8"), ("10.1.2.3/8", "10.0.0.0/8"), ("::1", "::1/128")],
)
def test_networks(given: str, kept: str) -> None:
    assert check_network(given, key="k") == kept


def test_no_network() -> None:
    with pytest.raises(ConfigurationError, match=r"'10\.0\.0\.0/33' is not a network"):
        check_network("10.0.0.0/33", key="k")


def test_a_zone() -> None:
    assert check_timezone("Asia/Kathmandu", key="k") == "Asia/Kathmandu"


@pytest.mark.parametrize("pattern", ["gpt-4o", "gpt-*", "*", "o[134]*", "[!a]b", "[]x]", "a/b:c@d", "modèle"])
def test_patterns_that_work(pattern: str) -> None:
    assert model_pattern_problem(pattern) is None


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("", "1 to 200 characters"),
        ("x" * 201, "1 to 200 characters"),
        ("a\nb", "control character"),
        (" a", "space at its ends"),
        ("o[13", "has a [ without its ]"),
        ("o[!]", "has a [ without its ]"),
    ],
)
def test_patterns_that_are_refused(pattern: str, reason: str) -> None:
    assert reason in (model_pattern_problem(pattern) or "")
