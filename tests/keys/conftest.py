"""Keys of one installation, with randomness that a test can repeat and a clock it turns by hand."""

import random

import pytest

from service.keys.admin_registry import AdminKeyRegistry
from service.keys.registry import KeyRegistry
from service.keys.secrets import Peppers
from tests.support.audit import TRAIL
from tests.support.clock import HandClock


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def peppers() -> Peppers:
    return Peppers.of(b"root secret of the tests, 32 bytes or more")


@pytest.fixture
def registry(peppers: Peppers, clock: HandClock) -> KeyRegistry:
    return KeyRegistry(peppers, trail=TRAIL, now=clock.now, random_bytes=random.Random(1).randbytes)


@pytest.fixture
def admin_registry(peppers: Peppers, clock: HandClock) -> AdminKeyRegistry:
    return AdminKeyRegistry(peppers, trail=TRAIL, now=clock.now, random_bytes=random.Random(2).randbytes)
