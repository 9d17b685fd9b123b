"""A server that encrypts as Postgres does, with a certificate for db.example.test, and then refuses the password.

The certificates and keys were made for the tests, are valid for 100 years and protect nothing.
"""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

NAME = "db.example.test"
AUTHORITY = """\
-----BEGIN CERTIFICATE-----
MIIBnzCCAUWgAwIBAgIUa8JHLnkZuZysrQzT1YJ1R++2xAwwCgYIKoZIzj0EAwIw
JDEiMCAGA1UEAwwZQW4gYXV0aG9yaXR5IG9mIHRoZSB0ZXN0czAgFw0yNjExMjQy
MDQ1MDVaGA8yMTI2MTAzMTIwNDUwNVowJDEiMCAGA1UEAwwZQW4gYXV0aG9yaXR5
IG9mIHRoZSB0ZXN0czBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABAeP682UJGw8
XU311/x8oSSqD6uGDvxhGdDg7T1cPRvzhQGRj3K0AcwI42WXNCmRM5VTUA0PfhmD
0Yj82aKpoGmjUzBRMB0GA1UdDgQWBBQ7DHRl8KMFg74J/d2Az+yL+q+ewTAfBgNV
HSMEGDAWgBQ7DHRl8KMFg74J/d2Az+yL+q+ewTAPBgNVHRMBAf8EBTADAQH/MAoG
CCqGSM49BAMCA0gAMEUCIFA8mgxytHF89cI5lD0Y2EEs2jAscNgbYB6HFkFxJB0j
AiEAySUU29kHtwDOdXB5eGMrZnCtKuyaycH6jnN81ZSXOYo=
-----END CERTIFICATE-----
"""
CERTIFICATE = """\
-----BEGIN CERTIFICATE-----
MIIBqzCCAVGgAwIBAgIULF9+DmktqUG3guwzSpkK+Yf1+TYwCgYIKoZIzj0EAwIw
JDEiMCAGA1UEAwwZQW4gYXV0aG9yaXR5IG9mIHRoZSB0ZXN0czAgFw0yNjExMjQy
MDQ1MDVaGA8yMTI2MTAzMTIwNDUwNVowGjEYMBYGA1UEAwwPZGIuZXhhbXBsZS50
ZXN0MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEOdah4CiYrqvbk39NVm3075rz
SiafC6QsrcekIF9cT6PKkja36tSoUk9fiJEJJcQDwVkrWxp0W0jGu3Wu/7YdhqNp
MGcwGgYDVR0RBBMwEYIPZGIuZXhhbXBsZS50ZXN0MAkGA1UdEwQCMAAwHQYDVR0O
BBYEFHUmFlHRhNs69RE1Tvx2u738qsHlMB8GA1UdIwQYMBaAFDsMdGXwowWDvgn9
3YDP7Iv6r57BMAoGCCqGSM49BAMCA0gAMEUCIFK6ykhZua/mrnZS3s6kAds94E2Q
iRXYqlj8/BHL2Z/HAiEApqhluS1ovMX0/dPpxrB056obITn70zB9q2SHWeVHN3s=
-----END CERTIFICATE-----
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgfSS9rbuMvQkEh2sH
rMuehb3peogiTY1QyfSvqd0a+9+hRANCAAQ51qHgKJiuq9uTf01WbfTvmvNKJp8L
pCytx6QgX1xPo8qSNrfq1KhST1+IkQklxAPBWStbGnRbSMa7da7/th2G
-----END PRIVATE KEY-----
"""
_WANTS_TLS, _WANTS_GSS = 80877103, 80877104


@dataclass
class TlsServer:
    """Where it listens, and what clients did."""

    port: int
    asked_in_the_open: list[bytes] = field(default_factory=list)
    """What came that was neither a wish for encryption nor encrypted."""
    logins: list[bytes] = field(default_factory=list)
    """The first message of each client that took the certificate."""


@contextmanager
def serve_tls(folder: Path) -> Iterator[TlsServer]:
    """Serve on 127.0.0.1 until the block ends; `folder` takes the certificate's file."""
    file = folder / "server.pem"
    file.write_text(CERTIFICATE)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = TlsServer(listener.getsockname()[1])

        def serve() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with connection, suppress(OSError):  # a client that does not like the certificate goes away
                        _answer(connection, context, server)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def _answer(connection: socket.socket, context: ssl.SSLContext, server: TlsServer) -> None:
    while first := connection.recv(1000):
        code = struct.unpack("!ii", first[:8])[1]
        if code == _WANTS_TLS:
            break
        if code != _WANTS_GSS:
            server.asked_in_the_open.append(first)
            return
        connection.sendall(b"N")
    connection.sendall(b"S")
    with context.wrap_socket(connection, server_side=True) as encrypted:
        if login := encrypted.recv(1000):
            server.logins.append(login)
            said = b"SFATAL\0C28P01\0Mpassword authentication failed for user\0\0"
            encrypted.sendall(b"E" + struct.pack("!i", len(said) + 4) + said)
