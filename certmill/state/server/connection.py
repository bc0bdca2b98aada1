"""Connects to Redis with time-outs on every call and verified TLS, and turns the errors of Redis into
StateUnavailable."""

from __future__ import annotations

import functools
import ssl
from collections.abc import Callable, Sequence
from importlib import resources
from pathlib import Path
from typing import ParamSpec, TypeVar
from urllib.parse import urlsplit, urlunsplit

import redis
from redis.backoff import ExponentialBackoff
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError, ResponseError
from redis.exceptions import ConnectionError as Disconnected
from redis.retry import Retry

from certmill.errors import InvalidManifest, StateUnavailable
from certmill.observe import recording
from certmill.state.server.failover import (
    CONNECTION_CLASSES,
    Connection,
    FileCredentials,
    ServerUnfit,
    without_credentials,
)

P = ParamSpec("P")
R = TypeVar("R")


def connect(
    url: str,
    *,
    ca_file: Path | None = None,
    timeout_seconds: float = 5.0,
    max_connections: int = 128,
    retries: int = 2,
    encoding_errors: str = "strict",
    url_file: Path | None = None,
) -> redis.Redis:
    """Return a client for `url`; nothing is sent yet. A `rediss://` server is always verified, even if the
    URL says otherwise. `url_file`: a file from which each connection reads user and password.

    Raises InvalidManifest if `url` is not the URL of a Redis."""
    address, options = _address(url, ca_file, url_file)
    try:
        client: redis.Redis = redis.Redis.from_url(
            address,
            decode_responses=True,
            encoding_errors=encoding_errors,
            socket_timeout=timeout_seconds,
            socket_connect_timeout=timeout_seconds,
            socket_keepalive=True,
            health_check_interval=25,
            max_connections=max_connections,
            retry=Retry(ExponentialBackoff(cap=0.2, base=0.02), retries),
            **options,
        )
    except ValueError:  # from None: the text can contain the password
        raise InvalidManifest(
            "is not a redis://, rediss:// or unix:// URL", path="CERTMILL_REDIS_URL"
        ) from None
    return client


def _address(url: str, ca_file: Path | None, url_file: Path | None) -> tuple[str, dict[str, object]]:
    """Return the URL to connect to, and what redis-py must know besides: TLS, and where credentials are."""
    options: dict[str, object] = {}
    if url.startswith("rediss://"):
        # `?ssl_cert_reqs=none` in the query would override the options below
        url = urlunsplit(urlsplit(url)._replace(query=""))
        options = {
            "ssl_cert_reqs": ssl.CERT_REQUIRED,
            "ssl_check_hostname": True,
            "ssl_ca_certs": str(ca_file) if ca_file else None,
        }
    options["connection_class"] = CONNECTION_CLASSES.get(urlsplit(url).scheme, Connection)
    if url_file is not None:
        options["credential_provider"] = FileCredentials(url_file, url)
        url = without_credentials(url)
    return url, options


def answering(call: Callable[P, R]) -> Callable[P, R]:
    """Decorate a method of an object that has a client `_redis`: every error of Redis becomes
    StateUnavailable. The message has the address of Redis, without user and password."""

    @functools.wraps(call)
    def answered(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return _counted(call, *args, **kwargs)
        except NoPermissionError as error:
            raise StateUnavailable(
                "Redis refuses this: the user of this URL may not do it; give it the ACL in docs/producers.md"
            ) from error
        except AuthenticationError as error:
            raise StateUnavailable(
                "Redis refuses our login: see the user and password of CERTMILL_REDIS_URL"
            ) from error
        except ServerUnfit as error:
            raise StateUnavailable(f"Redis{_at(args)} cannot serve us now: {error.advice}") from error
        except Disconnected as error:
            raise StateUnavailable(
                f"Redis does not answer{_at(args)} ({_why(error)}); check that CERTMILL_REDIS_URL "
                "leads to it and that it runs: "
                "start it, or everything on this machine with `python -m workers up`"
            ) from error
        except ResponseError as error:
            raise StateUnavailable(
                f"Redis{_at(args)} refuses a command ({type(error).__name__}); check that it is one server, "
                "no cluster, and that nothing but "
                "certmill writes to its database"
            ) from error
        except RedisError as error:
            raise StateUnavailable(
                f"Redis does not answer{_at(args)} ({_why(error)}); check that it runs and is reachable"
            ) from error

    return answered


def _at(arguments: Sequence[object]) -> str:
    """Return ` at 127.0.0.1:6379` for the client of the called method, or an empty string."""
    client = getattr(arguments[0], "_redis", None) if arguments else None
    return f" at {address_of(client)}" if isinstance(client, redis.Redis) else ""


def _why(error: RedisError) -> str:
    """The words of the operating system, such as `connection refused`, else the name of the error. Never the
    text of the error, which can contain what was sent."""
    cause = error.__cause__ or error.__context__
    words = cause.strerror if isinstance(cause, OSError) else None
    return words.lower() if isinstance(words, str) else type(error).__name__


def address_of(client: redis.Redis) -> str:
    """Return host:port, or the path of a socket: the part of a URL that a message may show."""
    options = client.connection_pool.connection_kwargs
    host = str(options.get("host", "localhost"))
    return (
        str(options["path"])
        if options.get("path")
        else f"{f'[{host}]' if ':' in host else host}:{options.get('port', 6379)}"
    )


def _counted(call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    try:
        return call(*args, **kwargs)
    except RedisError:
        recording.sink().redis_error()
        raise


def eviction_policy(client: redis.Redis) -> str | None:
    """Return the maxmemory-policy of Redis. None if Redis does not answer, or this user may not read it
    (CONFIG is often denied)."""
    try:
        policy = client.config_get("maxmemory-policy").get("maxmemory-policy")
    except RedisError:
        return None
    return str(policy) if policy else None


def script(client: redis.Redis, name: str) -> Callable[..., object]:
    """Load the Lua script `<name>.lua` of certmill.state. Call it with keys=[…], args=[…]."""
    text = resources.files("certmill.state").joinpath(f"{name}.lua").read_text(encoding="utf-8")
    return client.register_script(text)
