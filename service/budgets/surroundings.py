"""What the gate and the limiter take from outside, so that tests can set it."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

import msgspec


class Surroundings(msgspec.Struct, frozen=True):
    """Clocks, chance and threads. *new_id* draws from 1 to 2**63 - 1; *in_thread* runs what may block."""

    now: Callable[[], datetime]
    monotonic: Callable[[], float]
    new_id: Callable[[], int]
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep
    in_thread: Callable[[Callable[[], Any]], Awaitable[Any]] = asyncio.to_thread
