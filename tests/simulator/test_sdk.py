"""The real SDKs take the simulated upstream for the real thing."""

import time
from collections.abc import Iterator

import pytest

from service.simulator.app import create_simulator
from service.simulator.server import running
from tests.support.sdk import (
    assert_good_conversation,
    run_node_conversation,
    run_python_conversation,
)


@pytest.fixture
def base_url() -> Iterator[str]:
    with running(create_simulator(now=time.time)) as url:  # noqa: TID251  the SDKs live in real time
        yield f"{url}/v1"


def test_the_python_sdk_understands_every_answer(base_url: str) -> None:
    assert_good_conversation(run_python_conversation(base_url, "sk-anything"))


def test_the_node_sdk_understands_every_answer(base_url: str) -> None:
    facts = run_node_conversation(base_url, "sk-anything")
    assert_good_conversation(facts)
