"""What may be sent where: the check every request passes before a transport touches it. Pure.

The URL comes from the operator and the headers from an allow-list; this is the last gate, so that a line break
can never add a header (RFC 9112, section 11.1) and nobody but the transport frames the message.
"""

from functools import lru_cache
from typing import NamedTuple
from urllib.parse import urlsplit

FRAMING = frozenset(
    {
        b"connection",
        b"content-length",
        b"expect",
        b"host",
        b"keep-alive",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
METHODS = frozenset({"DELETE", "GET", "PATCH", "POST", "PUT"})


class Origin(NamedTuple):
    """Where connections go."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


class Target(NamedTuple):
    """An origin, and what the request says of the rest of the URL."""

    origin: Origin
    first_lines: bytes  # request line and host header


@lru_cache(maxsize=1024)
def target(method: str, url: str) -> Target:
    """Take *url* apart.

    Raises:
        ValueError: a method or a URL that the upstream client does not send. The text holds no credentials.
    """
    if method not in METHODS:
        raise ValueError(
            f"the upstream client does not send {method!r}; it sends {', '.join(sorted(METHODS))}"
        )
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        raise ValueError(f"an upstream URL is http(s)://host/path without user name, not {parts.scheme}://…")
    if not url.isascii() or any(character <= " " or character == "\x7f" for character in url):
        raise ValueError(
            f"the URL of upstream {parts.hostname!r} contains white space or non-ASCII characters"
        )
    origin = Origin(parts.scheme, parts.hostname, parts.port or (443 if parts.scheme == "https" else 80))
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(origin, f"{method} {path} HTTP/1.1\r\nhost: {parts.netloc}\r\n".encode("ascii"))


def header_block(headers: list[tuple[bytes, bytes]]) -> bytes:
    """The headers as they go on the wire.

    Raises:
        ValueError: a header that frames the message, or one that contains a line break or NUL.
    """
    for name, _ in headers:
        if name.lower() in FRAMING:
            raise ValueError(f"header {name!r} belongs to the transport")
    block = b"".join([b"%b: %b\r\n" % header for header in headers])
    if block.count(b"\n") != len(headers) or block.count(b"\r") != len(headers) or b"\0" in block:
        raise ValueError("a request header contains a line break or NUL")
    return block
