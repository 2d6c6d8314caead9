"""Redis clients with short time-outs, built from a URL; never logged."""

from __future__ import annotations

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
from redis.exceptions import ConnectionError as RedisConnectionError

# A hanging Redis must not hold a request: the row is written, the bell can ring later.
_TIMEOUT = 2.0


def connect_redis(url: str, *, connections: int = 50) -> Redis:
    """A client for queues and events; at most `connections` sockets, further callers wait for one.

    Retries only errors that prove nothing was done (a refused or stale connection), and only briefly.
    """
    # Retry by default takes time-outs too: then the check of an idle connection to a hanging Redis is
    # tried three times, and each new connection's greeting as well.
    # redis-py 5 accepts any valid certificate unless it is told to compare the host's name.
    tls = {"ssl_check_hostname": True} if url.startswith("rediss://") else {}
    pool = BlockingConnectionPool.from_url(
        url,
        **tls,
        max_connections=connections,
        timeout=_TIMEOUT,
        socket_timeout=_TIMEOUT,
        socket_connect_timeout=_TIMEOUT,
        health_check_interval=15,
        retry=Retry(ExponentialBackoff(cap=0.2, base=0.02), 2, (RedisConnectionError,)),
        retry_on_error=[RedisConnectionError, OSError],
    )
    return Redis.from_pool(pool)
