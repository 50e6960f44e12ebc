"""`/admin/v1/check`: the proof that the books agree, as `tollkeeper check` makes it.

It computes for as long as there are days to look at, so a process of its own does it, and a relay makes one at a time.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import msgspec
from litestar import get

from service.admin.context import AdminContext
from service.admin.injection import Admin
from service.errors import ConflictError, StoreUnavailableError
from service.logs import get_logger
from service.reporting.check import Difference

COMMAND = (sys.executable, "-m", "service.cli", "check", "--json")
_DIFFERENT = 1


class CheckAnswer(msgspec.Struct, frozen=True):
    """Whether the books agree, and where they differ: the first 1,000 places."""

    ok: bool
    differences: list[Difference]


@get("/check", summary="Prove that the books agree")
async def check_books(admin: Admin) -> CheckAnswer:
    """Every day is compared to the last nano-dollar; with many days this takes minutes. Nothing is repaired."""
    if admin.checking.locked():
        raise ConflictError("this relay is checking the books already; wait for that answer")
    async with admin.checking, _process(admin) as process:
        out, err = await process.communicate()
    if process.returncode not in (0, _DIFFERENT):
        get_logger().error(
            "check_failed", status=process.returncode, said=err.decode("utf-8", "replace")[-2000:]
        )
        raise StoreUnavailableError("the books could not be checked; the relay's log says why")
    return msgspec.json.decode(out, type=CheckAnswer)


@asynccontextmanager
async def _process(admin: AdminContext) -> AsyncIterator[asyncio.subprocess.Process]:
    url = admin.store.url.render_as_string(hide_password=False)
    environ = os.environ | {"TOLLKEEPER_STORE_URL": url}
    process = await asyncio.create_subprocess_exec(
        *COMMAND,
        env=environ,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await asyncio.shield(process.wait())
