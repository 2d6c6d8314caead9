"""Connections to public addresses only: what was checked is what is connected to.

The check stands where the socket is opened, so that no spelling of a URL, no redirect and no name that
changes between check and connection gets around it.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable
from typing import Any

import httpcore
import httpx

from ai_investment.content.sources.addresses import check_port, is_public
from ai_investment.content.sources.fetching import Refused

_MOST_ADDRESSES = 4


class GuardedBackend(httpcore.AsyncNetworkBackend):
    """Resolves a name once, refuses it unless every address is public, and connects to those addresses.

    `private_hosts` are the `host:port` an operator has opened although they are not public.
    """

    def __init__(self, private_hosts: frozenset[str] = frozenset()) -> None:
        self._private_hosts = private_hosts
        self._inner = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's interface
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        check_port(host, port, self._private_hosts)
        addresses = await self._resolve(host, port, seconds=timeout)
        if f"{host}:{port}" not in self._private_hosts and not all(map(is_public, addresses)):
            raise Refused("The URL leads to an address that is not public.")
        failure: Exception = httpcore.ConnectError("no address")
        for address in addresses[:_MOST_ADDRESSES]:
            try:
                return await self._inner.connect_tcp(
                    address, port, timeout, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as cause:
                failure = cause
        raise failure

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ASYNC109
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        raise Refused("Only http:// and https:// URLs can be fetched.")

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def _resolve(self, host: str, port: int, *, seconds: float | None) -> list[str]:
        """The addresses of a name in the order to try them; an address in any notation is one too."""
        loop = asyncio.get_running_loop()
        try:
            found = await asyncio.wait_for(
                loop.getaddrinfo(host, port, type=socket.SOCK_STREAM), seconds
            )
        except TimeoutError as cause:
            raise httpcore.ConnectTimeout("name resolution") from cause
        except (OSError, UnicodeError) as cause:
            raise httpcore.ConnectError("name resolution") from cause
        return list(dict.fromkeys(str(item[4][0]) for item in found))


def guarded_client(private_hosts: frozenset[str], **options: Any) -> httpx.AsyncClient:
    """An httpx client whose every connection is guarded; it follows no redirect and knows no proxy."""
    transport = httpx.AsyncHTTPTransport(trust_env=False)
    # httpx has no parameter for it. Tests fail when a release of httpx stops using this pool.
    transport._pool = httpcore.AsyncConnectionPool(
        ssl_context=httpx.create_ssl_context(trust_env=False),
        max_connections=20,
        max_keepalive_connections=10,
        keepalive_expiry=5.0,
        network_backend=GuardedBackend(private_hosts),
    )
    return httpx.AsyncClient(transport=transport, trust_env=False, **options)
