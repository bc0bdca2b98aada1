"""Runs a Kubernetes API server with RBAC and its own etcd. It is built once and runs on a free loopback port.
Its objects survive a kill.

There is no controller-manager and no kubelet. Therefore objects are not garbage collected by owner
references, Services get no EndpointSlices, namespaces are not finalised, and Pods do not run. EndpointSlices
reject addresses in 127.0.0.0/8.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from certmill.testing.localhost import make_local_tls
from compose.servers import ServerFailed
from compose.servers.build import go_build
from compose.servers.cluster.etcd import Etcd, find_etcd
from compose.servers.cluster.kubernetes_api import KubernetesApi
from compose.servers.ports import free_port, start_on_free_ports
from compose.servers.process import Server, ServerProcess

ADMIN = "admin"
"""A user in system:masters. RBAC allows this group everything."""

SERVICE_ACCOUNT = "system:serviceaccount:"
"""The prefix of a service account's user name. namespace:name follows it."""

_SOURCE = Path(__file__).resolve().parent / "go" / "kube-apiserver"
_START_SECONDS = 60.0
_TOKEN_SECONDS = 86_400

# Admission plugins that are off, because they handle Pods, volumes and quotas, and this server has none.
# These stay on: the lifecycle of namespaces, the default IngressClass, and admission by policies and
# webhooks.
_NO_ADMISSION = (
    "CertificateApproval,CertificateSigning,CertificateSubjectRestriction,ClusterTrustBundleAttest,DefaultStorageClass,"
    "DefaultTolerationSeconds,LimitRanger,PersistentVolumeClaimResize,PodSecurity,Priority,ResourceQuota,RuntimeClass,ServiceAccount,"
    "StorageObjectInUseProtection,TaintNodesByCondition"
)
# APIs that are off for the same reason. Each resource has a watch cache: without these APIs the server uses
# 250 MB instead of 290 MB.
_NO_APIS = (
    "certificates.k8s.io/v1",
    "node.k8s.io/v1",
    "resource.k8s.io/v1",
    "scheduling.k8s.io/v1",
    "storage.k8s.io/v1",
)
# Off in plain Kubernetes, on in OpenShift: to set an owner reference with blockOwnerDeletion, a client needs
# permission on the owner's finalizers.
_ADMISSION = "OwnerReferencesPermissionEnforcement"


def find_kube_apiserver() -> Path:
    """The path of the program; builds it if necessary. Raises MissingServer."""
    (version,) = re.findall(r"^\s+k8s\.io/kubernetes v(\S+)$", (_SOURCE / "go.mod").read_text(), re.MULTILINE)
    major, minor, _ = version.split(".", 2)
    # Without a version the program assumes v0.0.0 and does not start, because every API is newer than v0.0.0.
    variables = {"gitVersion": f"v{version}", "gitMajor": major, "gitMinor": minor}
    return go_build(
        _SOURCE,
        variables={f"k8s.io/component-base/version.{name}": value for name, value in variables.items()},
    )


def build_kubernetes() -> None:
    """Build both programs. This takes minutes if they are not in the cache. Raises MissingServer."""
    find_etcd()
    find_kube_apiserver()


@dataclass(kw_only=True)
class KubeApiServer(Server):
    """A running API server. `users` are the users that exist from the start, with their groups; the user
    `admin` always exists.

    kill() and freeze() affect the API server only; use those of `etcd` for etcd.
    """

    directory: Path
    users: Mapping[str, Sequence[str]] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()
    """More options of kube-apiserver, for example ("--event-ttl=1m",)."""
    etcd: Etcd = field(init=False)
    port: int = field(default=0, init=False)
    _tokens: dict[str, str] = field(default_factory=dict, init=False, repr=False)
    _api: KubernetesApi | None = field(default=None, init=False, repr=False)
    _process: ServerProcess = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.etcd = Etcd(directory=self.directory / "etcd")
        self._tokens = {user: secrets.token_urlsafe(24) for user in (ADMIN, *self.users)}
        self._process = ServerProcess("kube-apiserver", log=self.directory / "kube-apiserver.log")

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    @property
    def ca_file(self) -> Path:
        """The PEM file of the CA that issued the server's TLS certificate."""
        return self.directory / "ca.pem"

    @property
    def admin_token(self) -> str:
        return self._tokens[ADMIN]

    @property
    def api(self) -> KubernetesApi:
        """A client that sends requests as admin."""
        if self._api is None:
            self._api = KubernetesApi(url=self.url, ca_file=self.ca_file, token=self.admin_token)
        return self._api

    def start(self) -> None:
        """Start the server, and etcd if it does not run. A second start uses the same port and objects.

        Raises MissingServer, ServerFailed.
        """
        program = find_kube_apiserver()
        if not self.etcd.is_running:
            self.etcd.start()
        self._write_files()
        fixed = self.port != 0

        def start() -> None:
            self.port, self._api = (self.port if fixed else free_port()), None
            self._process.start(
                [program, *self._options()], answers=self.api.is_ready, timeout_seconds=_START_SECONDS
            )

        try:
            start_on_free_ports(start, fixed=fixed)
        except ServerFailed:
            self.etcd.stop()
            raise

    def stop(self) -> None:
        """Stop the API server and etcd. Their data stays."""
        self._process.stop()
        self.etcd.stop()

    def token(self, user: str) -> str:
        """A bearer token of admin, of one of `users`, or of a service account
        (system:serviceaccount:NAMESPACE:NAME).

        Creates a service account and its namespace if they do not exist, and requests a real token through
        the TokenRequest API. Raises KeyError for another user, ServerFailed.
        """
        if user not in self._tokens:
            namespace, _, name = user.removeprefix(SERVICE_ACCOUNT).partition(":")
            if not user.startswith(SERVICE_ACCOUNT) or not name:
                raise KeyError(f"{user} is neither among this server's users nor a service account")
            self._tokens[user] = self.api.request_token(namespace, name, seconds=_TOKEN_SECONDS)
        return self._tokens[user]

    def kubeconfig(self, user: str = ADMIN, *, namespace: str = "default") -> Path:
        """Write a kubeconfig file for `user`, with mode 0600. Returns its path. Raises KeyError,
        ServerFailed."""
        path = self.directory / f"kubeconfig-{user.replace(':', '-')}-{namespace}"
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {"name": "test", "cluster": {"server": self.url, "certificate-authority": str(self.ca_file)}}
            ],
            "users": [{"name": user, "user": {"token": self.token(user)}}],
            "contexts": [
                {"name": "test", "context": {"cluster": "test", "user": user, "namespace": namespace}}
            ],
            "current-context": "test",
        }
        _write_private(path, yaml.safe_dump(content).encode())
        return path

    def _write_files(self) -> None:
        """Write the files that the server reads. The keys are created once, so that clients still trust the
        server after a restart."""
        self.directory.mkdir(parents=True, exist_ok=True)
        groups = {ADMIN: ("system:masters",), **self.users}
        rows = [
            f'{self._tokens[user]},{user},{user},"{",".join(of_user)}"\n' for user, of_user in groups.items()
        ]
        _write_private(self.directory / "tokens.csv", "".join(rows).encode())
        if self.ca_file.exists():
            return
        tls = make_local_tls()
        key = ec.generate_private_key(ec.SECP256R1()).private_bytes(
            Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()
        )
        _write_private(self.directory / "server.pem", tls.certificate)
        _write_private(self.directory / "server.key", tls.key)
        _write_private(self.directory / "service-accounts.key", key)
        self.ca_file.write_bytes(tls.ca)

    def _options(self) -> list[str]:
        key = self.directory / "service-accounts.key"
        return [
            f"--etcd-servers={self.etcd.url}",
            "--bind-address=127.0.0.1",
            f"--secure-port={self.port}",
            # no client connects to it; without it the server does not start on a machine without a network
            "--advertise-address=192.0.2.1",
            "--endpoint-reconciler-type=none",
            "--service-cluster-ip-range=10.0.0.0/24",
            f"--tls-cert-file={self.directory / 'server.pem'}",
            f"--tls-private-key-file={self.directory / 'server.key'}",
            f"--token-auth-file={self.directory / 'tokens.csv'}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={key}",
            f"--service-account-signing-key-file={key}",
            "--authorization-mode=RBAC",
            f"--disable-admission-plugins={_NO_ADMISSION}",
            f"--enable-admission-plugins={_ADMISSION}",
            f"--runtime-config={','.join(f'{api}=false' for api in _NO_APIS)}",
            "--watch-cache=true",
            "--etcd-compaction-interval=5m",
            "--event-ttl=15m",
            "--profiling=false",
            *self.arguments,
        ]


def _write_private(path: Path, content: bytes) -> None:
    """Write a file with mode 0600. The mode is set before the first byte is written."""
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_bytes(content)
