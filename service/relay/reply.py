"""The answer on its way to the client: what was sent, and whether anybody is still there to get it."""

from service.relay.body import Send

Headers = list[tuple[bytes, bytes]]


class Reply:
    """Sends one response. After `gone` is set nothing is sent, and nothing fails for it."""

    __slots__ = ("_send", "bytes_sent", "finished", "gone", "started", "status")

    def __init__(self, send: Send) -> None:
        self._send = send
        self.gone = False
        self.started = False
        self.finished = False
        self.status: int | None = None
        self.bytes_sent = 0

    async def start(self, status: int, headers: Headers) -> None:
        """Send the response head."""
        self.started = True
        self.status = status
        if not self.gone:
            await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def write(self, data: bytes) -> None:
        """Send a part of the body."""
        if not self.gone:
            self.bytes_sent += len(data)
            await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def finish(self, data: bytes = b"") -> None:
        """Send the last part of the body."""
        self.finished = True
        if not self.gone:
            self.bytes_sent += len(data)
            await self._send({"type": "http.response.body", "body": data, "more_body": False})
