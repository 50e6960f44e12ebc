"""Every wire test runs on both event loops and on every transport that ships."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from service.upstream.client import UpstreamClient, make_client


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    return "asyncio", {"use_uvloop": request.param}


@pytest.fixture(params=["http1", "httpx"])
def transport(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
async def client(transport: str, anyio_backend: object) -> AsyncIterator[UpstreamClient]:  # noqa: ARG001  anyio runs it because of it
    client = make_client(transport)
    yield client
    await client.aclose()
