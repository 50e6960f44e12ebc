"""The seam through which the relay calls providers: the types, and the one function that picks a transport.

`http1` is our own HTTP/1.1 client, small and fast, the default. `httpx` takes several times the CPU and serves
where a proxy stands between us and the provider. Both pass the same wire tests (tests/upstream/test_wire.py).
"""

from service.errors import ConfigurationError
from service.upstream.call import Head, Timeouts, UpstreamCall, UpstreamClient, UpstreamRequest
from service.upstream.http1 import Http1Client
from service.upstream.httpx_transport import HttpxClient

__all__ = [
    "Head",
    "Timeouts",
    "UpstreamCall",
    "UpstreamClient",
    "UpstreamRequest",
    "make_client",
]


def make_client(transport: str = "default", *, proxy: str | None = None) -> UpstreamClient:
    """Build the client named *transport*: ``default``, ``http1`` or ``httpx``.

    A *proxy* (URL) needs ``httpx``, which ``default`` then means. Proxies named in the environment are not used.

    Raises:
        ConfigurationError: no such transport, or one that cannot use a proxy.
    """
    if transport == "httpx" or (transport == "default" and proxy is not None):
        return HttpxClient(proxy=proxy)
    if transport not in ("default", "http1"):
        raise ConfigurationError(
            f"no upstream transport is named {transport!r}; choose default, http1 or httpx"
        )
    if proxy is not None:
        raise ConfigurationError("the http1 transport cannot use a proxy; choose httpx")
    return Http1Client()
