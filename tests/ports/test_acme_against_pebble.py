"""Our verbs against Pebble, which is strict about the protocol: each way that an issuance can go."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from threading import Thread

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from certmill.acme import ari, challenges
from certmill.acme.client import AcmeClient
from certmill.acme.directories import DirectoryCache
from certmill.acme.jws import AccountKey
from certmill.acme.nonces import NoncePool
from certmill.acme.problems import problem_error
from certmill.acme.resources import AccountStatus, AuthorizationStatus, ExternalAccount, OrderStatus
from certmill.crypto import chain, csr, keys
from certmill.crypto.cert_id import cert_id
from certmill.errors import AccountRefused, CAUnavailable, NameRefused, OrderGone, OrderNotReady, OrderRefused
from certmill.http.transport import Connections, TlsTrust
from certmill.model.certificate import KeyAlgorithm, PrivateKeySpec
from certmill.model.names import Identifier, IdentifierType
from compose.servers.pebble import Pebble
from tests.support.builders import a_certificate

MAC_KEY = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"


def dns(*names):
    return [Identifier(type=IdentifierType.DNS, value=name) for name in names]


def new_key():
    return AccountKey(ec.generate_private_key(ec.SECP256R1()))


def csr_for(*identifiers):
    names = [
        x509.DNSName(i.value) if i.type is IdentifierType.DNS else x509.IPAddress(ip_address(i.value))
        for i in identifiers
    ]
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256()).public_bytes(Encoding.DER)


def until_status(look, *over):
    """Poll as a step would, only faster."""
    deadline = time.monotonic() + 20
    while (seen := look()).status not in over:
        assert time.monotonic() < deadline, seen
        time.sleep(0.02)
    return seen


def patiently(ask):
    """Try again, as a step would: Pebble knows the serial of a certificate only a moment after its order is
    valid."""
    deadline = time.monotonic() + 20
    while True:
        try:
            return ask()
        except CAUnavailable:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


class Issuing:
    """What a pipeline does with the verbs, by DNS-01 through challtestsrv."""

    def __init__(self, acme, key, challtestsrv):
        self.acme, self.key, self.dns = acme, key, challtestsrv

    def authorize(self, order):
        for url in order.authorizations:
            authorization = self.acme.authorization(url)
            if authorization.status is AuthorizationStatus.VALID:
                continue
            challenge = next(c for c in authorization.challenges if c.type == "dns-01")
            value = challenges.dns01_value(challenge.token, self.key.thumbprint)
            self.dns.set_txt(challenges.dns01_record_name(authorization.identifier.value), value)
            self.acme.answer(challenge.url)
        return [
            until_status(
                lambda url=url: self.acme.authorization(url),
                AuthorizationStatus.VALID,
                AuthorizationStatus.INVALID,
            )
            for url in order.authorizations
        ]

    def finalize(self, order, csr):
        self.acme.finalize(order.finalize, csr)
        return until_status(lambda: self.acme.order(order.url), OrderStatus.VALID, OrderStatus.INVALID)

    def issue(self, identifiers, **options):
        order = self.acme.new_order(identifiers, **options)
        self.authorize(order)
        return self.acme.certificate(self.finalize(order, csr_for(*identifiers)).certificate)


@pytest.fixture
def connect():
    """Make clients, and close them all."""
    made = []

    def connect(server, key=None, **options):
        trust = options.pop("trust", None) or TlsTrust(ca_bundle=server.ca_bundle)
        options = {"nonces": NoncePool(), "directories": DirectoryCache(), **options}
        client = AcmeClient(server=server.directory_url, key=key or new_key(), trust=trust, **options)
        made.append(client)
        return client

    yield connect
    for client in made:
        client.close()


@pytest.fixture
def issuing(pebble, challtestsrv, connect):
    key = new_key()
    acme = connect(pebble, key)
    acme.new_account(email="admin@example.com")
    return Issuing(acme, key, challtestsrv)


def leaf_of(chain):
    return x509.load_pem_x509_certificates(chain.pem.encode())[0]


def names_of(certificate):
    return set(
        certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(
            x509.DNSName
        )
    )


def test_a_wildcard_and_its_apex_share_one_record_and_one_certificate(issuing):
    chain = issuing.issue(dns("both.example", "*.both.example"))

    assert names_of(leaf_of(chain)) == {"both.example", "*.both.example"}
    assert chain.pem.count("BEGIN CERTIFICATE") >= 2


def test_the_other_chains_of_the_ca_are_where_the_first_says(issuing, pebble):
    order = issuing.acme.new_order(dns("chains.example"))
    issuing.authorize(order)
    url = issuing.finalize(order, csr_for(*dns("chains.example"))).certificate

    chain = issuing.acme.certificate(url)
    others = [issuing.acme.certificate(other) for other in chain.alternates]

    assert len(others) == pebble.alternate_roots
    issuers = {x509.load_pem_x509_certificates(each.pem.encode())[-1].issuer for each in (chain, *others)}
    roots = {x509.load_pem_x509_certificate(root).subject for root in pebble.roots()}
    assert issuers == roots


@pytest.mark.parametrize(
    "private_key",
    [
        rsa.generate_private_key(65537, 2048),
        *(ec.generate_private_key(curve) for curve in (ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1())),
    ],
    ids=["RS256", "ES256", "ES384", "ES512"],
)
def test_every_kind_of_account_key_is_understood(pebble, connect, private_key):
    acme = connect(pebble, AccountKey(private_key))

    account = acme.new_account()

    assert account.status is AccountStatus.VALID
    assert acme.new_order(dns("kinds.example")).status is OrderStatus.PENDING


def test_an_account_is_found_again_by_its_key(pebble, connect):
    key = new_key()
    first = connect(pebble, key).new_account(email="a@example.com")

    second = connect(pebble, key)
    found = second.new_account(email="a@example.com")

    assert (first.existed, found.existed) == (False, True)
    assert first.url == found.url == second.account_uri
    assert connect(pebble, key).new_account(only_return_existing=True).url == first.url


def test_only_an_existing_account_may_be_asked_for(pebble, connect):
    with pytest.raises(AccountRefused) as caught:
        connect(pebble).new_account(only_return_existing=True)

    assert caught.value.acme_type == "accountDoesNotExist"


def test_the_contact_is_changed_and_removed(issuing):
    assert issuing.acme.update_account(email="b@example.com").contact == ("mailto:b@example.com",)
    assert issuing.acme.update_account(email="").contact == ()
    assert issuing.acme.account().contact == ()


def test_a_contact_that_is_none_is_the_accounts_fault(pebble, connect):
    with pytest.raises(AccountRefused, match=r"correct spec\.acme\.email"):
        connect(pebble).new_account(email="not an address")


def test_a_deactivated_account_is_refused(issuing):
    assert issuing.acme.deactivate_account().status is AccountStatus.DEACTIVATED

    with pytest.raises(NameRefused, match="deactivated"):
        issuing.acme.new_order(
            dns("late.example")
        )  # of an order nobody knows whom it is about: the account itself tells
    with pytest.raises(AccountRefused, match="deactivated"):
        issuing.acme.account()
    with pytest.raises(AccountRefused, match="deactivated"):
        issuing.acme.new_account()


def test_an_account_that_the_ca_forgot_is_said(pebble, connect):
    uri = connect(pebble).directory().new_account.replace("sign-me-up", "my-account/nobody")

    with pytest.raises(AccountRefused) as caught:
        connect(pebble, account_uri=uri).new_order(dns("forgotten.example"))

    assert caught.value.acme_type == "accountDoesNotExist"


def test_a_changed_key_is_the_accounts_from_then_on(pebble, connect, issuing):
    new = new_key()
    uri = issuing.acme.account_uri

    issuing.acme.change_key(new)

    assert issuing.acme.account().url == uri
    assert connect(pebble, new).new_account(only_return_existing=True).url == uri


def test_a_key_that_has_an_account_is_refused_and_ours_is_kept(pebble, connect, issuing):
    """RFC 8555 §7.3.5 has 409 for it; Pebble 2.10 answers 200 and changes nothing."""
    taken = new_key()
    connect(pebble, taken).new_account()

    with pytest.raises(AccountRefused):
        issuing.acme.change_key(taken)

    assert issuing.acme.account().status is AccountStatus.VALID


def test_external_accounts(tmp_path, connect):
    with Pebble(directory=tmp_path, eab={"kid-1": MAC_KEY}) as server:
        assert connect(server).directory().external_account_required

        with pytest.raises(AccountRefused, match="externalAccountBinding") as missing:
            connect(server).new_account()
        with pytest.raises(AccountRefused) as wrong:
            connect(server).new_account(external_account=ExternalAccount.from_base64url("kid-1", "AAAA"))
        bound = connect(server).new_account(external_account=ExternalAccount.from_base64url("kid-1", MAC_KEY))

    assert missing.value.acme_type == "externalAccountRequired"
    assert "AAAA" not in str(wrong.value)
    assert bound.status is AccountStatus.VALID


def test_an_order_is_one_request_and_has_what_was_asked_for(issuing):
    order = issuing.acme.new_order(
        [*dns("one.example", "two.example"), Identifier(type=IdentifierType.IP, value="2001:db8::1")]
    )

    assert {str(i) for i in order.identifiers} == {"one.example", "two.example", "2001:db8::1"}
    assert len(order.authorizations) == 3
    assert order.expires is not None
    assert order.certificate == ""


def test_a_certificate_for_an_ip_address(issuing):
    """RFC 8738: HTTP-01 and TLS-ALPN-01 only."""
    order = issuing.acme.new_order([Identifier(type=IdentifierType.IP, value="127.0.0.1")])

    authorization = issuing.acme.authorization(order.authorizations[0])

    assert authorization.identifier == Identifier(type=IdentifierType.IP, value="127.0.0.1")
    assert "dns-01" not in {challenge.type for challenge in authorization.challenges}


def test_a_profile_decides_the_lifetime(issuing):
    assert set(issuing.acme.directory().profiles) == {"default", "shortlived"}

    leaf = leaf_of(issuing.issue(dns("short.example"), profile="shortlived"))

    assert leaf.not_valid_after_utc - leaf.not_valid_before_utc < timedelta(days=7)


def test_an_unknown_profile_is_refused(issuing):
    with pytest.raises(OrderRefused, match=r"spec\.acme\.profile") as caught:
        issuing.acme.new_order(dns("profile.example"), profile="nonsense")

    assert caught.value.acme_type == "invalidProfile"


def test_not_after_arrives_as_it_was_meant(issuing):
    """Pebble keeps what it is sent, and shows nothing of it; that it accepts the format is what can be
    seen."""
    order = issuing.acme.new_order(dns("dated.example"), not_after=datetime.now(UTC) + timedelta(days=30))

    assert order.status is OrderStatus.PENDING


def test_a_blocked_name_is_refused_and_named(issuing):
    with pytest.raises(NameRefused) as caught:
        issuing.acme.new_order(dns("fine.example", "blocked.example"))

    assert caught.value.acme_type == "rejectedIdentifier"
    assert caught.value.identifiers == ("blocked.example",)


def test_a_challenge_that_fails_says_why(issuing):
    order = issuing.acme.new_order(dns("nothing-there.example"))
    authorization = issuing.acme.authorization(order.authorizations[0])
    issuing.acme.answer(next(c for c in authorization.challenges if c.type == "dns-01").url)

    failed = until_status(lambda: issuing.acme.authorization(authorization.url), AuthorizationStatus.INVALID)

    (problem,) = (challenge.error for challenge in failed.challenges if challenge.error is not None)
    error = problem_error(problem, name="nothing-there.example")
    assert isinstance(error, NameRefused)
    assert "nothing-there.example" in str(error)
    assert issuing.acme.order(order.url).status is OrderStatus.INVALID


def test_a_valid_authorization_is_used_again(tmp_path, connect, challtestsrv):
    with Pebble(directory=tmp_path, dns=challtestsrv.dns, authz_reuse=100) as server:
        key = new_key()
        issuing = Issuing(connect(server, key), key, challtestsrv)
        issuing.acme.new_account()
        issuing.issue(dns("again.example"))

        order = issuing.acme.new_order(dns("again.example"))

        assert order.status is OrderStatus.READY
        assert issuing.acme.authorization(order.authorizations[0]).status is AuthorizationStatus.VALID


def test_an_authorization_can_be_given_up(issuing):
    order = issuing.acme.new_order(dns("given-up.example"))

    given_up = issuing.acme.deactivate_authorization(order.authorizations[0])

    assert given_up.status is AuthorizationStatus.DEACTIVATED


def test_finalizing_too_early_and_twice_is_distinguished(issuing):
    identifiers = dns("early.example")
    order = issuing.acme.new_order(identifiers)
    with pytest.raises(OrderNotReady):
        issuing.acme.finalize(order.finalize, csr_for(*identifiers))
    issuing.authorize(order)
    issuing.finalize(order, csr_for(*identifiers))

    with pytest.raises(OrderNotReady):
        issuing.acme.finalize(order.finalize, csr_for(*identifiers))


def test_a_csr_for_other_names_is_refused(issuing):
    """As `unauthorized`, which for an order may also mean that its authorizations have expired: a new order
    is the way out of both."""
    order = issuing.acme.new_order(dns("mine.example"))
    issuing.authorize(order)

    with pytest.raises(OrderGone, match="CSR"):
        issuing.acme.finalize(order.finalize, csr_for(*dns("other.example")))


def test_is_ca_in_a_request_is_ignored_by_the_ca(issuing):
    certificate = a_certificate(is_ca=True)
    key_pem = keys.generate(certificate.private_key)
    order = issuing.acme.new_order(dns(*certificate.dns_names))
    issuing.authorize(order)

    chain_pem = issuing.acme.certificate(
        issuing.finalize(order, csr.build(certificate, key_pem)).certificate
    ).pem.encode()

    chain.check(chain_pem, key_pem, certificate, now=time.time())
    leaf = x509.load_pem_x509_certificate(chain_pem)
    assert not leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_a_ca_that_takes_no_ed25519_key_says_so(issuing):
    """The CA decides: certmill sends the request, as cert-manager does. Pebble 2.10 refuses it, as Let's
    Encrypt does."""
    certificate = a_certificate(private_key=PrivateKeySpec(algorithm=KeyAlgorithm.ED25519, size=0))
    order = issuing.acme.new_order(dns(*certificate.dns_names))
    issuing.authorize(order)

    with pytest.raises(OrderRefused, match=r"Ed25519 is not supported \(badCSR\); check the key"):
        issuing.acme.finalize(order.finalize, csr.build(certificate, keys.generate(certificate.private_key)))


@pytest.mark.parametrize("verb", ["order", "authorization", "certificate", "answer"])
def test_what_the_ca_does_not_know_is_gone(issuing, verb):
    order = issuing.acme.new_order(dns("gone.example"))
    known = {
        "order": order.url,
        "authorization": order.authorizations[0],
        "certificate": order.url.replace("my-order", "certZ"),
        "answer": order.authorizations[0].replace("authZ", "chalZ"),
    }

    with pytest.raises(OrderGone):
        getattr(issuing.acme, verb)(known[verb] + "x")


def test_the_order_of_another_account_is_gone_for_us(issuing, pebble, connect):
    order = issuing.acme.new_order(dns("theirs.example"))
    other = connect(pebble)
    other.new_account()

    with pytest.raises(OrderGone):
        other.order(order.url)


def test_a_certificate_is_revoked_once_and_again(issuing, pebble):
    leaf = leaf_of(issuing.issue(dns("revoked.example")))
    der = leaf.public_bytes(Encoding.DER)

    assert issuing.acme.revoke(der, reason=4)
    assert not issuing.acme.revoke(der)

    assert pebble.status_of(leaf.serial_number) == "Revoked"


def test_a_reason_that_is_none_is_refused(issuing):
    leaf = leaf_of(issuing.issue(dns("reason.example")))

    with pytest.raises(OrderRefused) as caught:
        issuing.acme.revoke(leaf.public_bytes(Encoding.DER), reason=7)

    assert caught.value.acme_type == "badRevocationReason"


def test_renewal_information_names_a_window_within_the_lifetime(issuing):
    leaf = leaf_of(issuing.issue(dns("ari.example")))

    info = issuing.acme.renewal_info(cert_id(leaf))

    assert (
        leaf.not_valid_before_utc.timestamp() < info.start < info.end < leaf.not_valid_after_utc.timestamp()
    )
    assert ari.MIN_CHECK_SECONDS <= info.retry_after <= ari.MAX_CHECK_SECONDS


def test_a_window_that_the_ca_moved_is_seen(issuing, pebble):
    chain = issuing.issue(dns("moved.example"))
    leaf = leaf_of(chain)
    window = (
        '{"suggestedWindow": {"start": "2026-01-01T00:00:00Z", "end": "2026-01-02T00:00:00Z"}, '
        '"explanationURL": "https://ca.example/why"}'
    )
    pebble.set_renewal_info(leaf.public_bytes(Encoding.PEM), window)

    info = issuing.acme.renewal_info(cert_id(leaf))

    assert (info.end - info.start, info.explanation_url) == (86_400.0, "https://ca.example/why")


def test_an_order_replaces_a_certificate_once(issuing):
    """RFC 9773 §5, and 409 alreadyReplaced for the second."""
    replaced = cert_id(leaf_of(issuing.issue(dns("replaced.example"))))
    patiently(lambda: issuing.issue(dns("replaced.example"), replaces=replaced))

    with pytest.raises(OrderRefused, match="without `replaces`") as caught:
        issuing.acme.new_order(dns("replaced.example"), replaces=replaced)

    assert caught.value.acme_type == "alreadyReplaced"


def test_half_of_all_nonces_refused_is_no_obstacle(tmp_path, connect, challtestsrv):
    with Pebble(directory=tmp_path, dns=challtestsrv.dns, nonce_reject=50) as server:
        key = new_key()
        issuing = Issuing(connect(server, key), key, challtestsrv)
        patiently(issuing.acme.new_account)  # one request in two thousand meets eleven bad nonces in a row

        chain = patiently(lambda: issuing.issue(dns("nonces.example")))

    assert names_of(leaf_of(chain)) == {"nonces.example"}


def test_a_ca_that_refuses_every_nonce_is_unavailable(tmp_path, connect):
    with Pebble(directory=tmp_path, nonce_reject=100) as server, pytest.raises(CAUnavailable, match="nonces"):
        connect(server).new_account()


def test_threads_share_nonces_directory_and_connections(pebble, connect):
    key, nonces, directories, connections = new_key(), NoncePool(), DirectoryCache(), Connections()
    uri = connect(pebble, key).new_account().url
    failures: list[Exception] = []
    orders: list[str] = []

    def work(number):
        acme = connect(
            pebble, key, account_uri=uri, nonces=nonces, directories=directories, connections=connections
        )
        try:
            orders.extend(acme.new_order(dns(f"t{number}-{turn}.example")).url for turn in range(5))
        except Exception as error:  # noqa: BLE001 - shown below
            failures.append(error)

    threads = [Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    connections.close()

    assert failures == []
    assert len(set(orders)) == 30


def test_a_ca_that_we_do_not_trust_is_not_talked_to(pebble, connect):
    with pytest.raises(CAUnavailable, match=r"cannot be verified .*caBundle"):
        connect(pebble, trust=TlsTrust()).directory()


def test_a_ca_of_another_bundle_is_not_talked_to(pebble, connect):
    wrong = pebble.roots()[0]

    with pytest.raises(CAUnavailable, match="cannot be verified"):
        connect(pebble, trust=TlsTrust(ca_bundle=wrong)).directory()


def test_the_environment_does_not_overrule_the_bundle(pebble, connect, monkeypatch):
    """requests would let it."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(pebble.ca_file))

    with pytest.raises(CAUnavailable, match="cannot be verified"):
        connect(pebble, trust=TlsTrust(ca_bundle=pebble.roots()[0])).directory()


def test_tls_is_not_verified_where_the_issuer_says_so(pebble, connect):
    assert connect(pebble, trust=TlsTrust(skip_verify=True)).directory().new_order
