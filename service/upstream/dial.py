"""Opening a connection to the first address of a name that answers.

uvloop tries the addresses of a name one after another and waits for each as long as the kernel does; one dead IPv6
route would use up the whole connect time-out. So an address has `NEXT_ADDRESS_S`, and only the last has what is left.
(A race as in RFC 8305 would save at most that time, on broken networks only.)
"""

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import TypeVar

from service.upstream.target import Origin

NEXT_ADDRESS_S = 1.0

P = TypeVar("P", bound=asyncio.Protocol)


async def addresses(origin: Origin) -> list[str]:
    """The addresses of the origin's host, best first (RFC 6724), each once.

    Raises:
        OSError: the name is unknown.
    """
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(origin.host, origin.port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(info[4][0]) for info in found))


async def dial(
    origin: Origin, among: list[str], *, tls: ssl.SSLContext | None, protocol: Callable[[], P]
) -> P:
    """Connect to the first of the addresses *among* that answers, TLS included.

    Raises:
        OSError: what the last address said.
    """
    loop = asyncio.get_running_loop()
    name = None if tls is None else origin.host
    for address in among[:-1]:
        try:
            async with asyncio.timeout(NEXT_ADDRESS_S):
                connected = await loop.create_connection(
                    protocol, address, origin.port, ssl=tls, server_hostname=name
                )
                return connected[1]
        except OSError:  # TimeoutError is one
            continue
    _, last = await loop.create_connection(protocol, among[-1], origin.port, ssl=tls, server_hostname=name)
    return last
