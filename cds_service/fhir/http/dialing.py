"""How a connection is made: a name is looked up once, its addresses are checked, and one is used.

A listed name must not lead to this machine or its link (DNS rebinding, cloud metadata), whatever
a name server says at that moment. Private ranges are where hospitals are, and fine. TLS still
checks the certificate for the name, since only the address is replaced.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Final

import httpcore2

Address = IPv4Address | IPv6Address
Resolve = Callable[[str, int], Awaitable[Sequence[Address]]]

_LOCALHOST: Final = "localhost"
# What translates to IPv4: its last four bytes are the address (RFC 6052, RFC 8215, RFC 4291).
_TRANSLATED: Final = tuple(
    map(IPv6Network, ("64:ff9b::/96", "64:ff9b:1::/48", "::ffff:0:0:0/96", "::/96"))
)
_MOST_TRIED: Final = 4


def is_fixed(host: str) -> bool:
    """Whether a host of the allow-list is an address or ``localhost``: the operator's own words."""
    if host == _LOCALHOST:
        return True
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def is_forbidden(address: Address) -> bool:
    """Whether a name may not lead to this address: to this machine, its link, or everyone."""
    if isinstance(address, IPv4Address):
        # All of 0.0.0.0/8 means "this host" (RFC 1122, 3.2.1.3).
        return (
            address.is_loopback
            or address.is_link_local
            or address.is_multicast
            or address.packed[0] in {0, 255}
        )
    if address.is_unspecified or address.is_loopback:
        return True
    embedded = _embedded(address)
    if embedded is not None:
        return is_forbidden(embedded)
    return address.is_link_local or address.is_multicast


def _embedded(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that an IPv6 address stands for."""
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    if any(address in network for network in _TRANSLATED):
        return IPv4Address(address.packed[-4:])
    return None


async def resolve(host: str, port: int) -> Sequence[Address]:
    """The addresses of a name, in the order in which to try them.

    Raises:
        OSError: it has none.
    """
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    return list(dict.fromkeys(ip_address(where[0]) for *_, where in found))


class CheckedNetwork(httpcore2.AsyncNetworkBackend):
    """Connects to the addresses that one look-up gave, if a name may lead there.

    Args:
        resolve: looks a name up.
    """

    def __init__(self, resolve: Resolve = resolve) -> None:
        self._resolve = resolve
        self._network = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 (the library's interface)
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """A connection to a host of the allow-list.

        Raises:
            httpcore2.ConnectError: the name has no address or a forbidden one, or none answers.
            httpcore2.ConnectTimeout: not within the time.
        """
        try:
            async with asyncio.timeout(timeout):
                addresses = await self._addresses(host, port)
                share = None if timeout is None else timeout / len(addresses)
                for address in addresses[:-1]:
                    try:
                        return await self._network.connect_tcp(
                            address, port, share, local_address, socket_options
                        )
                    except (httpcore2.ConnectError, httpcore2.ConnectTimeout):
                        continue
                return await self._network.connect_tcp(
                    addresses[-1], port, None, local_address, socket_options
                )
        except TimeoutError:
            raise httpcore2.ConnectTimeout("timed out") from None

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)

    async def _addresses(self, host: str, port: int) -> list[str]:
        if is_fixed(host) and host != _LOCALHOST:
            return [host]
        try:
            found = await self._resolve(host, port)
        except OSError:
            raise httpcore2.ConnectError("the name has no address") from None
        # One bad address spoils the answer: the good ones may be there to hide it.
        if not found or (host != _LOCALHOST and any(map(is_forbidden, found))):
            raise httpcore2.ConnectError("the name leads to no usable address")
        return [str(address) for address in found[:_MOST_TRIED]]
