"""What one request to a provider is, in our own few types; every transport speaks them.

A call is made without I/O; `head` sends the request. Body bytes are those on the wire: nothing is decompressed,
redirects are answers like any other, no header is added but the ones that frame the message (host,
content-length, and where a library insists, connection).

Who may send again: after `UpstreamUnreachableError`, or `UpstreamTimeoutError` in phase ``connect``, nothing was
sent. After every other error the provider may have done the work, and may bill it.
"""

from collections.abc import AsyncIterator
from typing import Protocol

import msgspec


class UpstreamRequest(msgspec.Struct, frozen=True):
    """A whole request. Header names and values are sent as they stand; framing headers are the transport's."""

    method: str
    url: str
    headers: list[tuple[bytes, bytes]]
    body: bytes


class Timeouts(msgspec.Struct, frozen=True):
    """Four limits in seconds, each measured on its own.

    *connect_s*: name look-up, TCP and TLS. *first_byte_s*: from the request being sent to the end of the response
    head. *idle_s*: silence of the provider within the body; time during which we do not read is not counted.
    *total_s*: the whole call, from `head` being called to the last byte of the body.
    """

    connect_s: float
    first_byte_s: float
    idle_s: float
    total_s: float


class Head(msgspec.Struct, frozen=True):
    """Status and headers of the final response: raw bytes, in order, duplicates kept."""

    status: int
    headers: list[tuple[bytes, bytes]]


class UpstreamCall(Protocol):
    """One request and its response. Whoever makes a call releases it, whatever happened."""

    async def head(self) -> Head:
        """Send the request and wait for the response head. Once per call.

        Raises:
            UpstreamError: one of the four leaves, see the module docstring.
        """
        ...

    def chunks(self) -> AsyncIterator[bytes]:
        """Body bytes as they arrive; ends only where the response really ended. Once per call, after `head`.

        Raises:
            UpstreamError: time-out, broken or aborted; what had arrived before is yielded first, except on abort.
        """
        ...

    def abort(self) -> None:
        """Close the connection now; a pending `head` or `chunks` raises UpstreamAbortedError. Idempotent."""
        ...

    async def release(self) -> None:
        """Give the connection back if the response was complete, else close it. Idempotent."""
        ...


class UpstreamClient(Protocol):
    """Makes calls and owns the connections they share. Belongs to one event loop."""

    def call(self, request: UpstreamRequest, *, timeouts: Timeouts) -> UpstreamCall:
        """Prepare a call; no I/O happens before its `head`."""
        ...

    async def aclose(self) -> None:
        """Close every connection; calls still open raise UpstreamAbortedError."""
        ...
