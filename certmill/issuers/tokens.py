"""Takes the tokens that a request to a CA needs (certmill.budgets), and settles them when the CA has answered
with an error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from certmill.acme.problems import AcmeProblem
from certmill.budgets.buckets import Account, Purchase
from certmill.budgets.profiles import limits_of
from certmill.budgets.refusals import named_in
from certmill.errors import CertmillError, Permanent, RateLimited
from certmill.http.transport import host_of
from certmill.model.issuer import Issuer
from certmill.observe import recording
from certmill.observe.log import get_logger
from certmill.runs.ports import Ports
from certmill.state.buckets import Caller, Taken

log = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """There is no token for `seconds`; the reason says of which limit."""

    reason: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """The tokens of one request. `receipt`: the same for each try of the request."""

    ports: Ports
    issuer: Issuer
    purchase: Purchase
    caller: Caller
    receipt: str

    def take(self) -> Taken | Wait:
        """Spend the tokens. Returns a wait, and spends nothing, if a bucket has none."""
        now = self.ports.clock.now()
        taken = self.ports.buckets.take(self.purchase, self.caller, receipt=self.receipt, now=now)
        if isinstance(taken, Taken):
            return taken
        recording.sink().rate_limit_wait(taken.bucket.name)
        reason = f"waits for a rate limit of {host_of(self.issuer.server)}: {taken.bucket}"
        return Wait(reason=reason, seconds=taken.seconds)

    def give_back(self) -> None:
        """The CA has not counted the request."""
        self.ports.buckets.refund(self.purchase.spent, receipt=self.receipt, now=self.ports.clock.now())

    @contextmanager
    def settled_after_errors(self) -> Iterator[None]:
        """The context of the request. The tokens are given back after an error, because the CA has spent
        nothing; but not if it did not answer, because it may have done what was requested. An answer 429
        empties the bucket that it names."""
        try:
            yield
        except CertmillError as error:
            if isinstance(error, Permanent) or isinstance(error.__cause__, AcmeProblem):
                self.give_back()
            if isinstance(error, RateLimited):
                self._learn(error)
            raise

    def _learn(self, error: RateLimited) -> None:
        named = named_in(str(error), self.purchase.checked)
        if named is None:
            return
        seconds = error.retry_after if error.retry_after is not None else named.limit.interval
        self.ports.buckets.empty(named, seconds=seconds, now=self.ports.clock.now())
        log.warning(
            "rate_limit.reached",
            issuer=self.issuer.reference,
            limit=str(named),
            seconds=round(seconds),
            reason=str(error),
        )


def account_of(issuer: Issuer, uri: str) -> Account:
    """The issuer's account at its CA, with the limits that apply. `uri`: "" before it is registered."""
    return Account(server=issuer.server, uri=uri, limits=limits_of(issuer.server, issuer.rate_limits))
