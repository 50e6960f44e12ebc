"""Budgets, rate limits and idempotency keys as an application meets them: the real SDK, two workers, one store."""

import json
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.support.processes import Running, run, tollkeeper_up

HELLO: list[Any] = [{"role": "user", "content": "Say hello"}]
MODEL = "gpt-4o-mini"
PATIENCE_S = 20.0
LIMIT_USD = "0.0002"
MOST_ANSWERS = 100


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("limits")


@pytest.fixture(scope="module")
def up(folder: Path) -> Iterator[Running]:
    with tollkeeper_up(folder, "--no-dashboard", "--workers", "2") as running:
        yield running


def tollkeeper(folder: Path, *arguments: str) -> Any:
    done = run(folder, *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def new_client(up: Running, folder: Path, name: str, *options: str) -> openai.OpenAI:
    """The SDK with a key of its own, on connections of its own, so that any worker may answer."""
    key = tollkeeper(folder, "keys", "create", "--name", name, *options)["key"]
    client = openai.OpenAI(base_url=f"{up.url}/v1", api_key=key)
    deadline = time.monotonic() + PATIENCE_S
    in_a_row = 0
    while in_a_row < 8:
        with openai.OpenAI(base_url=f"{up.url}/v1", api_key=key, max_retries=0) as probe:
            try:
                probe.models.list()
                in_a_row += 1
            except openai.AuthenticationError:
                in_a_row = 0
        assert time.monotonic() < deadline, "the key is not in force on every worker"
    return client


def until_stored(folder: Path, name: str, count: int) -> list[dict[str, Any]]:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        found = [
            record
            for record in tollkeeper(folder, "requests", "--limit", "200")["data"]
            if record["key_name"] == name
        ]
        if len(found) >= count:
            return list(found)
        assert time.monotonic() < deadline, f"{len(found)} of {count} records"
        time.sleep(0.1)


def test_a_hard_budget_ends_without_a_retry_and_every_number_agrees(up: Running, folder: Path) -> None:
    client = new_client(up, folder, "frugal", "--budget", f"{LIMIT_USD}usd/total")
    answered = 0

    def spend() -> None:
        nonlocal answered
        while answered < MOST_ANSWERS:
            client.chat.completions.create(model=MODEL, messages=HELLO, max_tokens=60)
            answered += 1

    with pytest.raises(openai.RateLimitError) as caught:
        spend()
    assert (caught.value.type, caught.value.code) == ("insufficient_quota", "budget_exceeded")
    assert f"its limit is {LIMIT_USD} USD in total" in caught.value.message
    assert 1 <= answered < MOST_ANSWERS
    records = until_stored(folder, "frugal", answered + 1)  # the SDK did not try the refused one again
    assert len(records) == answered + 1
    cost = sum(Decimal(record["cost_usd"]) for record in records)
    assert 0 < cost <= Decimal(LIMIT_USD)
    (budget,) = tollkeeper(folder, "budgets", "list")
    assert Decimal(budget["spent_usd"]) == cost
    shown = tollkeeper(folder, "budgets", "show", budget["id"])
    assert Decimal(shown["spent_usd"]) == cost
    assert run(folder, "check").returncode == 0


def test_requests_a_minute_hold_over_both_workers(up: Running, folder: Path) -> None:
    client = new_client(up, folder, "hasty", "--rpm", "3").with_options(
        max_retries=0, default_headers={"Connection": "close"}
    )
    completions = client.chat.completions.with_raw_response
    for left in ("2", "1", "0"):
        answer = completions.create(model=MODEL, messages=HELLO, max_tokens=1)
        assert answer.headers["x-ratelimit-limit-requests"] == "3"
        assert int(answer.headers["x-ratelimit-remaining-requests"]) <= int(left)
    for _ in range(5):
        with pytest.raises(openai.RateLimitError) as caught:
            completions.create(model=MODEL, messages=HELLO, max_tokens=1)
        assert caught.value.code == "rate_limit_exceeded"
        assert 1 <= int(caught.value.response.headers["retry-after"]) <= 61


def test_an_idempotency_key_counts_on_both_workers(up: Running, folder: Path) -> None:
    client = new_client(up, folder, "careful").with_options(max_retries=0)
    headers = {"Idempotency-Key": "order-66", "Connection": "close"}
    client.chat.completions.create(model=MODEL, messages=HELLO, max_tokens=1, extra_headers=headers)
    until_stored(folder, "careful", 1)
    for _ in range(4):
        with pytest.raises(openai.ConflictError) as caught:
            client.chat.completions.create(model=MODEL, messages=HELLO, max_tokens=1, extra_headers=headers)
        assert caught.value.code == "request_done"
    with pytest.raises(openai.UnprocessableEntityError) as reused:
        client.chat.completions.create(model=MODEL, messages=HELLO, max_tokens=2, extra_headers=headers)
    assert reused.value.code == "key_reused"
