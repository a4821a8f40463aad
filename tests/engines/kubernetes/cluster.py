"""A real Kubernetes control plane: etcd, API server, controllers and scheduler; kwok plays the nodes.

What is accepted, admitted, rolled and counted is what Kubernetes does. Containers do not run: kwok says of
pods what a kubelet would say of ones that start at once, and of a Job's that they have ended well.
"""

import contextlib
import json
import ssl
import subprocess
from collections.abc import Callable
from http import HTTPStatus
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any

import yaml

from engines.chart import tool
from engines.server import Server, accepts, free_port

ADMIN = "token-of-the-admin"
BINARIES = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok")


class RefusedError(Exception):
    """What the API said no with."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


class Cluster:
    """One control plane with its data in `path`; `kubeconfig` is for whoever administers it."""

    def __init__(self, path: Path) -> None:
        for name in BINARIES:
            tool(name)
        self._path = path
        self._port, self._etcd = free_port(), free_port()
        self.url = f"https://127.0.0.1:{self._port}"
        self.kubeconfig = path / "kubeconfig"
        self.certificate = path / "certs" / "apiserver.crt"
        self._servers: list[Server] = []

    def start(self, nodes: int = 3) -> None:
        """Start everything, with so many nodes."""
        self._keys()
        self._start("etcd", self._etcd_argv(), lambda: accepts(self._etcd))
        self._start("kube-apiserver", self._api_argv(), self._ready)
        config = f"--kubeconfig={self.kubeconfig}"
        quiet = [config, "--leader-elect=false", "--secure-port=0"]
        keys = [
            f"--service-account-private-key-file={self._path / 'sa.key'}",
            f"--root-ca-file={self.certificate}",
        ]
        self._start("kube-controller-manager", [*quiet, *keys], self._has_accounts)
        self._start("kube-scheduler", quiet, lambda: True)
        self._start("kwok", [config, "--manage-all-nodes=true"], lambda: True)
        for number in range(nodes):
            self.create(_node(f"node-{number}"))

    def stop(self) -> None:
        """Stop everything, in the reverse order."""
        for server in reversed(self._servers):
            server.kill()

    # What tests ask

    def call(
        self, method: str, path: str, body: Any = None, *, token: str = ADMIN, kind: str = "json"
    ) -> Any:
        """One request, and its answer's object.

        Raises:
            RefusedError: when the API says no.
        """
        context = ssl.create_default_context(cafile=self.certificate)
        connection = HTTPSConnection("127.0.0.1", self._port, timeout=30, context=context)
        said = {"Authorization": f"Bearer {token}", "Content-Type": f"application/{kind}"}
        with contextlib.closing(connection):
            connection.request(method, path, None if body is None else json.dumps(body), said)
            answer = connection.getresponse()
            found = json.load(answer)
        if answer.status >= HTTPStatus.BAD_REQUEST:
            raise RefusedError(answer.status, found.get("message", ""))
        return found

    def create(self, manifest: dict[str, Any]) -> dict[str, Any]:
        """Create an object."""
        return dict(self.call("POST", self._path_of(manifest), manifest))

    def apply(self, manifest: dict[str, Any], namespace: str = "") -> dict[str, Any]:
        """Apply an object on the server's side; a field that Kubernetes does not know is refused."""
        path = f"{self._path_of(manifest, namespace)}/{manifest['metadata']['name']}"
        query = "?fieldManager=test&force=true&fieldValidation=Strict"
        return dict(self.call("PATCH", path + query, manifest, kind="apply-patch+yaml"))

    def get(self, path: str) -> Any:
        """What stands at a path."""
        return self.call("GET", path)

    def _path_of(self, manifest: dict[str, Any], namespace: str = "") -> str:
        api, kind = manifest["apiVersion"], manifest["kind"]
        root = f"/apis/{api}" if "/" in api else f"/api/{api}"
        found = {r["kind"]: r for r in self.get(root)["resources"] if "/" not in r["name"]}
        if not found[kind]["namespaced"]:
            return f"{root}/{found[kind]['name']}"
        within = manifest["metadata"].get("namespace") or namespace
        return f"{root}/namespaces/{within}/{found[kind]['name']}"

    # How it runs

    def _start(self, name: str, arguments: list[str], ready: Callable[[], bool]) -> None:
        server = Server([tool(name), *arguments], self._path / f"{name}.log", ready, within=180)
        self._servers.append(server)
        server.start()

    def _keys(self) -> None:
        key = self._path / "sa.key"
        subprocess.run(["openssl", "genrsa", "-out", str(key), "2048"], check=True, capture_output=True)
        public = ["openssl", "rsa", "-in", str(key), "-pubout", "-out", str(self._path / "sa.pub")]
        subprocess.run(public, check=True, capture_output=True)
        (self._path / "tokens.csv").write_text(f"{ADMIN},admin,admin,system:masters\n")
        at = {"name": "it"}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [at | {"cluster": {"server": self.url, "insecure-skip-tls-verify": True}}],
            "users": [at | {"user": {"token": ADMIN}}],
            "contexts": [at | {"context": {"cluster": "it", "user": "it"}}],
            "current-context": "it",
        }
        self.kubeconfig.write_text(yaml.safe_dump(config))
        self.kubeconfig.chmod(0o600)

    def _etcd_argv(self) -> list[str]:
        own, peers = f"http://127.0.0.1:{self._etcd}", f"http://127.0.0.1:{free_port()}"
        return [
            f"--data-dir={self._path / 'etcd'}",
            f"--listen-client-urls={own}",
            f"--advertise-client-urls={own}",
            f"--listen-peer-urls={peers}",
            "--unsafe-no-fsync",
        ]

    def _api_argv(self) -> list[str]:
        return [
            f"--etcd-servers=http://127.0.0.1:{self._etcd}",
            "--bind-address=127.0.0.1",
            f"--secure-port={self._port}",
            f"--cert-dir={self._path / 'certs'}",
            f"--service-account-key-file={self._path / 'sa.pub'}",
            f"--service-account-signing-key-file={self._path / 'sa.key'}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--token-auth-file={self._path / 'tokens.csv'}",
            "--authorization-mode=RBAC",
            "--service-cluster-ip-range=10.0.0.0/24",
        ]

    def _ready(self) -> bool:
        try:
            self.call("GET", "/api/v1/namespaces/default")
            self.call("GET", "/apis/rbac.authorization.k8s.io/v1/clusterroles/admin")
        except (RefusedError, OSError):
            return False
        return True

    def _has_accounts(self) -> bool:
        try:
            self.get("/api/v1/namespaces/default/serviceaccounts/default")
        except RefusedError:
            return False
        return True


def _node(name: str) -> dict[str, Any]:
    room = {"cpu": "32", "memory": "128Gi", "pods": "110", "ephemeral-storage": "500Gi"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
        "status": {"allocatable": room, "capacity": room},
    }
