"""Kafka as an SRE runs it: TLS with certificates of an authority of its own, SASL, client certificates."""

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from engines.kafka.node import ApacheKafka

_SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule"
_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]


@dataclass(frozen=True)
class Authority:
    """Certificates in `folder`: ca.pem, and NAME.pem with NAME.key for each name that was asked for."""

    folder: Path

    @property
    def ca(self) -> Path:
        """The authority's certificate."""
        return self.folder / "ca.pem"

    def make(self) -> None:
        """Make the authority itself."""
        self._openssl(
            "req", "-x509", *_KEY, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=test ca"
        )

    def sign(self, name: str) -> tuple[Path, Path]:
        """A certificate for 127.0.0.1 with this common name, and its key."""
        self._openssl("req", *_KEY, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        (self.folder / "san").write_text("subjectAltName=IP:127.0.0.1\n")
        signed = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "san"]
        self._openssl("x509", "-req", "-in", f"{name}.csr", *signed, "-out", f"{name}.pem")
        return self.folder / f"{name}.pem", self.folder / f"{name}.key"

    def _openssl(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=self.folder, check=True, capture_output=True)


def secured(
    path: Path, authority: Authority, users: Mapping[str, str], masters: Sequence[str] = ()
) -> ApacheKafka:
    """A node that also listens with SASL_SSL (for `users`) and with SSL (for who has a certificate).

    Nobody may do anything there but by ACLs, save the `masters`, and who comes by the plain listener.
    """
    certificate, key = authority.sign("broker")
    store = path / "broker.store.pem"
    store.write_text(key.read_text() + certificate.read_text())
    return ApacheKafka(
        path,
        listeners=["SASL_SSL", "SSL"],
        users=users,
        more=[
            "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_SSL:SASL_SSL,SSL:SSL",
            "sasl.enabled.mechanisms=SCRAM-SHA-512",
            f"listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config={_SCRAM} required;",
            "ssl.keystore.type=PEM",
            f"ssl.keystore.location={store}",
            "ssl.truststore.type=PEM",
            f"ssl.truststore.location={authority.ca}",
            "listener.name.ssl.ssl.client.auth=required",
            r"ssl.principal.mapping.rules=RULE:^CN=(.*)$/$1/",
            "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            ";".join(["super.users=User:ANONYMOUS", *(f"User:{name}" for name in masters)]),
        ],
    )
