"""Token buckets in Redis, which all processes share. Each is a GCRA, as in Boulder's ratelimits/gcra.go: one
number, the time at which the bucket is full. A full bucket has no key.

For CAs now (budgets.buckets). Nothing here depends on what a bucket limits."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, cast

import redis

from certmill.budgets.buckets import Bucket, Purchase
from certmill.state import keys
from certmill.state.server.connection import answering, script

_RECEIPT_SECONDS: Final = 86_400
"""Longer than a step that has died waits for its next try."""


LAST_RANK: Final = 2e12
"""Callers with this rank, or a higher one, are served after all others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who needs tokens. `rank`: the lowest is served first. None: behind all that have a rank below
    LAST_RANK; there the groups take turns (`group`: the registered domain)."""

    id: str
    rank: float | None
    group: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Empty:
    """There is no token in this bucket. The caller keeps its place if it asks again in `seconds`."""

    bucket: Bucket
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """The tokens were spent. `left`: by the id of a bucket, how many tokens it still has; empty if they were
    spent before."""

    left: Mapping[str, int]


class Buckets:
    """The token buckets. A `receipt` identifies what the tokens are for: the same receipt spends once, also
    if the caller died in between. Every method raises StateUnavailable when Redis does not answer."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis = client
        self._take = script(client, "take_tokens")
        self._change = script(client, "change_tokens")

    @answering
    def take(self, purchase: Purchase, caller: Caller, *, receipt: str, now: float) -> Taken | Empty:
        """Check all buckets of the purchase and spend its tokens, or spend nothing and return which bucket
        makes the caller wait the longest. `now`: seconds since the epoch."""
        if not purchase.checked:
            return Taken(left={})
        rank = "" if caller.rank is None else f"{caller.rank:.3f}"
        args: list[str | int | float] = [f"{now:.3f}", caller.id, rank, caller.group, _RECEIPT_SECONDS * 1000]
        for bucket in purchase.checked:
            args += [int(bucket in purchase.spent), *_numbers(bucket)]
        answer = cast("list[str]", self._take(keys=_keys(receipt, purchase.checked), args=args))
        number, *rest = answer
        if number != "0":
            return Empty(bucket=purchase.checked[int(number) - 1], seconds=float(rest[0]))
        left = zip(purchase.checked, rest, strict=False)
        return Taken(left={bucket.id: int(tokens) for bucket, tokens in left})

    @answering
    def left(self, buckets: Sequence[Bucket], *, now: float) -> dict[str, int]:
        """How many tokens each bucket has, by its id. Changes nothing."""
        values = self._redis.mget([keys.bucket(bucket.id) for bucket in buckets]) if buckets else []
        return {
            bucket.id: _tokens(bucket, cast("str | None", value), now)
            for bucket, value in zip(buckets, values, strict=True)
        }

    @answering
    def spend(self, buckets: Sequence[Bucket], *, receipt: str, now: float) -> None:
        """Spend a token of each bucket, as far as it has one, without a check."""
        self._changed("spend", buckets, receipt, now)

    @answering
    def refund(self, buckets: Sequence[Bucket], *, receipt: str, now: float) -> None:
        """Give back what was spent for this receipt. Does nothing if nothing was, or it was given back."""
        self._changed("refund", buckets, receipt, now)

    @answering
    def fill(self, buckets: Sequence[Bucket], *, now: float) -> None:
        """Make these buckets full again."""
        self._changed("fill", buckets, "", now)

    @answering
    def empty(self, bucket: Bucket, *, seconds: float, now: float) -> None:
        """The server says that this bucket has no token for `seconds`."""
        self._changed("empty", [bucket], "", now, seconds)

    def _changed(
        self, change: str, buckets: Sequence[Bucket], receipt: str, now: float, seconds: float = 0.0
    ) -> None:
        if buckets:
            args: list[str | int | float] = [f"{now:.3f}", change, _RECEIPT_SECONDS * 1000, f"{seconds:.3f}"]
            for bucket in buckets:
                args += _numbers(bucket)
            self._change(keys=_keys(receipt, buckets), args=args)


def _keys(receipt: str, buckets: Sequence[Bucket]) -> list[str]:
    return [keys.receipt(receipt), *(keys.bucket(bucket.id) for bucket in buckets)]


def _numbers(bucket: Bucket) -> list[str | int | float]:
    return [f"{bucket.limit.interval:.6f}", bucket.limit.count, f"{bucket.lateness:.3f}"]


def _tokens(bucket: Bucket, value: str | None, now: float) -> int:
    """The tokens by the value of the bucket's key (take_tokens.lua)."""
    if value is None:
        return bucket.limit.count
    full_at, _, start = (float(part) for part in value.split())
    counted_to = max(min(start, now), now - bucket.lateness)
    missing = math.ceil((full_at - counted_to) / bucket.limit.interval - 0.001)
    return min(max(bucket.limit.count - missing, 0), bucket.limit.count)
