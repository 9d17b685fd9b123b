"""What a server sends back of our secrets stays outside: canaries in each place of an answer of each source.

Each answer repeats every secret in every form it could have: as it is, cut, in a URL, in base64 alone or with its user.
All of it is looked for, byte for byte, in HOME, in what a run says while it works, and in what the command line prints.
"""

from __future__ import annotations

import base64
import json
import re
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest

from tailtracker_bi.cli import main
from tailtracker_bi.lake.lake import Lake
from tailtracker_bi.runs.planning import plan
from tailtracker_bi.runs.pulling import pull
from tailtracker_bi.runs.report import Progress, new_report
from tailtracker_bi.settings import load_settings
from tests.journeys.test_privacy import texts

USER = "reader.a1b2c3d4.mp-service-account"
MIXPANEL, STRIPE, DATABASE = "mx/S+cret&4Wq9=Zt8", "rk_live_51Nq8ZtWcAnArYxxPp0", "pg%Pa s/wo+rd7Kq"
SECRETS = {MIXPANEL: USER, STRIPE: "", DATABASE: "reader"}
"""Each with the user that it is sent with."""


def forms(secret: str, user: str) -> list[str]:
    pair = base64.b64encode(f"{user}:{secret}".encode()).decode()
    alone = base64.b64encode(secret.encode()).decode()
    return [secret, secret[:-4], secret[4:], quote(secret, safe=""), quote_plus(secret), pair, alone]


CANARIES = [form for secret, user in SECRETS.items() for form in forms(secret, user)]
SAID = " | ".join(CANARIES)
USERS = {base64.b64encode(f"{user}:---".encode()).decode()[: (len(user) + 1) * 4 // 3] for user in SECRETS.values()}
TELLING = {form[at : at + 10].lower() for form in CANARIES for at in range(len(form) - 9)}
TELLING -= {user[at : at + 10].lower() for user in USERS for at in range(len(user) - 9)}
"""Ten characters in a row of any of them are too many; a user is no secret."""
ON_A_LINE = SAID.encode()
IN_JSON = json.dumps(SAID).encode()
XML = SAID.replace("&", "&amp;").encode()


def answer(status: bytes, body: bytes, *headers: bytes) -> bytes:
    lines = [b"HTTP/1.1 " + status, b"Content-Length: %d" % len(body), b"Connection: close", *headers]
    return b"\r\n".join([*lines, b"", body])


STRIPE_ERROR = b'{"error": {"type": %b, "message": %b, "code": %b, "param": %b, "doc_url": %b}}' % ((IN_JSON,) * 5)
ANSWERS = {
    **{
        f"{status.decode()}, as {kind}": answer(status, body)
        for status in (b"400 Bad", b"401 No", b"402 Pay", b"403 No", b"404 Gone", b"422 No", b"429 Wait", b"500 Oh")
        for kind, body in {
            "a text": ON_A_LINE,
            "an error in JSON": b'{"error": ' + IN_JSON + b"}",
            "Stripe's error": STRIPE_ERROR,
            "Prometheus' error": b'{"status": "error", "errorType": %b, "error": %b}' % (IN_JSON, IN_JSON),
        }.items()
    },
    "a reason phrase": answer(b"403 " + ON_A_LINE, b""),
    "another place to go to": answer(b"302 Found", b"", b"Location: https://x.example/?" + ON_A_LINE),
    "when to come again": answer(b"503 Busy", b"", b"Retry-After: " + ON_A_LINE),
    "an error in place of what was asked for": answer(b"200 OK", b'{"error": ' + IN_JSON + b"}\n"),
    "Stripe's error where all is well": answer(b"200 OK", STRIPE_ERROR),
    "Prometheus' error where all is well": answer(b"200 OK", b'{"status": "error", "error": ' + IN_JSON + b"}"),
    "another kind of result": answer(b"200 OK", b'{"status": "success", "data": {"resultType": ' + IN_JSON + b"}}"),
    "warnings": answer(
        b"200 OK",
        b'{"status": "success", "warnings": [%b], "infos": [%b], "data": {"resultType": "matrix", "result": []}}'
        % (IN_JSON, IN_JSON),
    ),
    "no JSON": answer(b"200 OK", ON_A_LINE),
    "JSON that is cut": answer(b"200 OK", b'{"error": ' + IN_JSON[:-9]),
    "XML that is wrong": answer(b"200 OK", b"<a><" + XML + b"></b>"),
    "XML with an entity": answer(b"200 OK", b"<!DOCTYPE a [<!ENTITY e '" + XML + b"'>]><a>&e;</a>"),
    "an encoding": answer(b"200 OK", b"{}", b"Content-Encoding: " + ON_A_LINE),
    "a type": answer(b"200 OK", b"{}", b"Content-Type: " + ON_A_LINE),
    "no gzip": answer(b"200 OK", ON_A_LINE, b"Content-Encoding: gzip"),
    "no HTTP": ON_A_LINE + b"\r\n\r\n",
    "no status": b"HTTP/1.1 " + ON_A_LINE + b"\r\n\r\n",
    "no header": b"HTTP/1.1 200 OK\r\n" + ON_A_LINE + b"\r\n\r\n",
    "no length": b"HTTP/1.1 200 OK\r\nContent-Length: " + ON_A_LINE + b"\r\n\r\n",
    "no size of a part": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + ON_A_LINE + b"\r\n{}\r\n",
}


@contextmanager
def answering(say: Callable[[socket.socket], None]) -> Iterator[int]:
    """A server on this machine, by its port, that says this to whoever connects."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    caller, _ = server.accept()
                    with caller, suppress(OSError):
                        caller.settimeout(5)
                        say(caller)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        thread.join(5)


class Answers:
    """An HTTP server's: to each source each of them in turn."""

    def __init__(self) -> None:
        self.given = Counter[bytes]()

    def say(self, caller: socket.socket) -> None:
        asked = caller.recv(65536).split()[1]
        source = next(place for place in PLACES.values() if asked.startswith(place))
        caller.sendall(list(ANSWERS.values())[self.given[source] % len(ANSWERS)])
        self.given[source] += 1


PLACES = {
    "mixpanel": b"/api/2.0",
    "stripe": b"/v1",
    "prometheus": b"/api/v1",
    "exchange_rates": b"/rates.xml",
}


def say_as_postgres(caller: socket.socket) -> None:
    """A refusal whose every field holds the canaries."""
    while True:
        message = caller.recv(65536)
        if message[4:8] != struct.pack("!i", 80877103):  # asks for TLS
            break
        caller.sendall(b"N")
    fields = b"".join(kind + ON_A_LINE + b"\0" for kind in (b"M", b"D", b"H", b"W", b"s", b"t"))
    body = b"SFATAL\0VFATAL\0C28P01\0" + fields + b"\0"
    caller.sendall(b"E" + struct.pack("!i", len(body) + 4) + body)


class Told(Progress):
    """All that a run says."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, message: str) -> None:
        self.lines.append(message)


def found_in(text: str) -> set[str]:
    lowered = text.lower()
    return {part for part in TELLING if part in lowered}


@pytest.mark.slow
def test_secrets_that_an_answer_repeats_reach_no_file_and_no_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    answers, told = Answers(), Told()
    for limit, requests in {"REQUESTS_PER_SECOND": 1000, "REQUESTS_PER_HOUR": 10_000}.items():
        monkeypatch.setattr(f"tailtracker_bi.sources.mixpanel.export.{limit}", requests)
    with answering(answers.say) as port, answering(say_as_postgres) as database:
        values = {
            "TAILTRACKER_HOME": str(tmp_path),
            "TAILTRACKER_ALLOW_LOOPBACK": "1",
            "TAILTRACKER_RETRY_SCALE": "0",
            "TAILTRACKER_NOW": "2024-03-30T12:00:00Z",
            "TAILTRACKER_HISTORY_START": "2024-03-28",
            "MIXPANEL_EXPORT_URL": f"http://127.0.0.1:{port}",
            "MIXPANEL_PROJECT_ID": "1",
            "MIXPANEL_USERNAME": USER,
            "MIXPANEL_SECRET": MIXPANEL,
            "STRIPE_API_BASE": f"http://127.0.0.1:{port}",
            "STRIPE_API_KEY": STRIPE,
            "PROMETHEUS_URL": f"http://127.0.0.1:{port}",
            "EXCHANGE_RATES_URL": f"http://127.0.0.1:{port}/rates.xml",
            "APP_DATABASE_URL": f"postgresql://reader:{quote(DATABASE, safe='')}@127.0.0.1:{database}/app",
        }
        for name, value in values.items():
            monkeypatch.setenv(name, value)
        settings = load_settings()
        said = list[str]()
        for source, place in [*PLACES.items(), ("app_db", b"")]:
            while answers.given[place] < len(ANSWERS):
                report, lake = new_report(), Lake(settings.home)
                pull(settings, lake, plan(settings, lake, sources=[source]), report, told, {})
                report.write(settings.home)
                assert report.errors, "each answer is told of"
                said += [*report.errors, *report.notes, *report.held, *(str(day["reason"]) for day in report.days)]
                answers.given[b""] += len(ANSWERS)
        commands = [["doctor"], ["status"]]
        for command in commands:
            monkeypatch.setattr("sys.argv", ["tailtracker-bi", *command])
            with suppress(SystemExit):
                main()
    printed = "".join(capfd.readouterr())
    assert "app_db" in printed
    everything = {
        "said while it worked": "\n".join(told.lines),
        "printed": printed,
        "reported": "\n".join(said),
        **{
            str(file.relative_to(tmp_path)): "\n".join(texts(file))
            for file in tmp_path.rglob("*")
            if file.is_file() and file.name != "hash.key"
        },
    }
    assert {where: found for where, text in everything.items() if (found := found_in(text))} == {}
    control = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
    assert not [line for line in told.lines if control.search(line)]
    assert found_in(SAID) == TELLING, "the search finds what is there"
    assert min(answers.given.values()) * len(CANARIES) > 200
