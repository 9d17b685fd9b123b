"""A mail server on this machine, with a certificate of its own, and a HOME with a build to report from."""

from __future__ import annotations

import shutil
import socket
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from threading import Thread
from typing import Any

import orjson
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tailtracker_bi import bundle
from tailtracker_bi.bundle import Bundle
from tailtracker_bi.reports import formats
from tailtracker_bi.settings import ReportSettings
from tests.worlds import sample_bundle


@dataclass
class MailServer:
    """What came, and what the server is to answer: each answer once, then it takes what comes."""

    url: str
    came: list[EmailMessage] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)

    async def handle_RCPT(  # noqa: N802 - as the library calls it
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address in self.refused:
            return "550 no such person, said s3cret-of-mail"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        assert session.ssl, "what is sent is encrypted"
        answer = self.answers.pop(0) if self.answers else "250 OK"
        if answer == "hang up":
            # It has the mail, and the other side never hears of it.
            self._keep(envelope)
            server.transport.abort()
            return "250 OK"
        if answer.startswith("250"):
            self._keep(envelope)
        return answer

    def _keep(self, envelope: Envelope) -> None:
        content = envelope.original_content or b""
        self.came.append(message_from_bytes(content, EmailMessage, policy=policy.default))

    def to(self, address: str) -> list[EmailMessage]:
        return [mail for mail in self.came if mail["To"] == address]


def publish(home: Path, build: Bundle) -> None:
    """Make a changed build the current one of a HOME, under a name of its own."""
    named = home / "published" / f"20250312T07000{len(list((home / 'published').glob('*.duckdb')))}-0c0rre.duckdb"
    build.path.rename(named)
    (home / "published" / "current").write_text(named.stem)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and a certificate for 127.0.0.1, in one file."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mail")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path_factory.mktemp("mail") / "both.pem"
    form = serialization.PrivateFormat.PKCS8
    written = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    file.write_bytes(written + made.public_bytes(serialization.Encoding.PEM))
    return file


@pytest.fixture
def mail(certificate: Path) -> Iterator[MailServer]:
    """A mail server that speaks STARTTLS and takes nothing without it."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    server = MailServer("")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    controller = Controller(
        server, hostname="127.0.0.1", port=port, tls_context=context, require_starttls=True, auth_required=False
    )
    controller.start()
    server.url = f"smtp://127.0.0.1:{port}?from=bi@tails.example&ca={certificate}"
    yield server
    controller.stop()


@dataclass
class Webhook:
    """What was posted, and the statuses to answer with: each once, then what `judge` says of a request. Where there is
    one, `answer` gives JSON by the path.

    `asked` has the path, the headers and the body of each request, taken or not.
    """

    url: str
    came: list[dict[str, Any]] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    asked: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    judge: Callable[[str, bytes], int] = lambda path, body: 200
    answer: Callable[[str], object] | None = None


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    """Somebody who takes JSON, whatever its path."""
    hook = Webhook("")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            hook.asked.append((self.path, dict(self.headers), body))
            status = hook.statuses.pop(0) if hook.statuses else hook.judge(self.path, body)
            if status < 300 and hook.answer is None:
                hook.came.append(orjson.loads(body))
            self.send_response(status)
            self.end_headers()
            said = b"ok" if status < 300 else b"no_service"
            self.wfile.write(said if hook.answer is None else orjson.dumps(hook.answer(self.path)))

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        hook.url = f"http://127.0.0.1:{server.server_port}/services/T/B/x"
        yield hook
        server.shutdown()
        thread.join()


@pytest.fixture(scope="session")
def _published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("published")
    sample_bundle.publish(home)
    return home


@pytest.fixture
def build(_published: Path) -> Bundle:
    """The sample build, to make others of."""
    return bundle.current(_published)


@pytest.fixture
def home(_published: Path, tmp_path: Path) -> Path:
    """With the sample build, as it stands on 12 March 2025."""
    return Path(shutil.copytree(_published, tmp_path / "home"))


@pytest.fixture
def settings_of(home: Path) -> Callable[..., ReportSettings]:
    """Settings of that HOME, which wait for nothing."""

    def make(**named: Any) -> ReportSettings:
        own = {"TAILTRACKER_HOME": home, "TAILTRACKER_ALLOW_LOOPBACK": True, "TAILTRACKER_RETRY_SCALE": 0}
        return ReportSettings.model_validate(own | named)

    return make


@pytest.fixture(autouse=True)
def _no_pictures(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes longer than all the rest."""
    monkeypatch.setattr(formats, "picture", lambda *_: b"\x89PNG drawn")
