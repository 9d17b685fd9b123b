"""How each channel takes a report. A try may be repeated: what messages are told apart by is the same each time."""

from __future__ import annotations

import smtplib
import ssl
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from functools import cached_property
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

import orjson
from pydantic import SecretStr

from tailtracker_bi.errors import SettingsError, TailTrackerError
from tailtracker_bi.exports import put
from tailtracker_bi.reports import FORMATS, Content, Report, as_slack, as_text, mrkdwn, report_of
from tailtracker_bi.settings import ReportSettings, is_loopback, mail_sender

SECONDS = 30
"""Of waiting for a channel's answer."""
TIMED_OUT, BUSY, FAILING = 408, 429, 500
"""Statuses: the other side waited too long, and may have it; too many messages for now; from here on it fails."""
LONGEST_TEXT = 40_000
"""Of a message in Slack, which is cut there else."""
SLACK_MAY_PASS = ("ratelimited", "internal_error", "fatal_error", "service_unavailable", "request_timeout")
"""What Slack's methods say where another try may help."""
TWICE = "This may come twice: whether an earlier try arrived, nobody can tell."
KEPT_FORMS = ("html", "text", "json")
"""Of a report in a folder."""


class ChannelError(TailTrackerError):
    """A channel did not take a message: whether another try may help, and whether it may have taken it after all."""

    def __init__(self, what: str, *, is_passing: bool = False, may_have_arrived: bool = False) -> None:
        super().__init__(what)
        self.is_passing, self.may_have_arrived = is_passing, may_have_arrived


@dataclass(frozen=True)
class Message:
    """A report that is on its way. `key` stays the same each time that it is tried."""

    content: Content
    subject: str
    key: str
    now: datetime
    may_be_twice: bool = False

    @cached_property
    def report(self) -> Report:
        return report_of(self.content)


@dataclass(frozen=True)
class News:
    """Of an alert, that it began and, where it has an end, that it is over; `is_new` if nobody here was told before.

    `key` is what it is known by in the ledger.
    """

    key: str
    alert: str
    severity: str
    said: str
    began: date
    over: str = ""
    ended: date | None = None
    is_new: bool = True

    @property
    def is_over(self) -> bool:
        return self.ended is not None

    @property
    def token(self) -> str:
        """What other programs know it by, from its beginning to its end."""
        return sha256(f"{self.key}\0{self.began}".encode()).hexdigest()[:32]

    @property
    def mark(self) -> str:
        """How what is said of it begins."""
        return "[RESOLVED]" if self.is_over else f"[{self.severity.upper()}]"

    @property
    def text(self) -> str:
        return f"{self.said}\n{self.over}" if self.is_over else self.said


class Channel(ABC):
    """Somebody whom reports go to, and the way. `recipient` tells them apart, `shown` names them to operators.

    `address` is a mail's, by which somebody may have a role.
    """

    name: str
    address: str = ""
    recipient: str
    shown: str
    reports: tuple[str, ...] = ()

    def takes(self, report: str) -> bool:
        """Whether a report is to go there; without names all are."""
        return not self.reports or report in self.reports

    @abstractmethod
    def send(self, message: Message) -> None:
        """Hand a report on. Raises ChannelError, OSError."""

    @abstractmethod
    def tell(self, subject: str, text: str, now: datetime) -> None:
        """Hand on a few words. Raises ChannelError, OSError."""

    def alert(self, news: Sequence[News], now: datetime, may_be_twice: bool = False) -> None:
        """Hand on what there is to say of alerts, in one message. Raises ChannelError, OSError."""
        worst = min(news, key=lambda one: (one.is_over, one.severity != "critical"))
        subject, text = f"{worst.mark} {worst.alert}", worst.text
        if len(news) > 1:
            subject = f"{worst.mark} {len(news)} alerts: {', '.join(dict.fromkeys(one.alert for one in news))}"
            text = "\n\n".join(f"{one.mark} {one.alert}\n{one.text}" for one in news)
        self.tell(subject, f"{text}\n{TWICE}" if may_be_twice else text, now)


class Mail(Channel):
    """Somebody who is mailed to: each gets a mail of their own, so that nobody sees who else does."""

    name = "mail"

    def __init__(self, url: SecretStr, address: str, reports: tuple[str, ...] = ()) -> None:
        self._url, self.reports = url.get_secret_value(), reports
        self.address = self.recipient = address
        user, _, domain = address.partition("@")
        self.shown = f"{user[:1]}...@{domain}"
        self._sender = mail_sender(self._url)

    def send(self, message: Message) -> None:
        mail = self._mail(message.subject, message.key, message.now)
        report = message.content.rules.id
        mail["List-Id"] = f"<{report}.tailtracker-bi.{self._sender.partition('@')[2]}>"
        mail["List-Unsubscribe"] = f"<mailto:{self._sender}?subject={quote(f'unsubscribe {report}')}>"
        if message.may_be_twice:
            mail["X-TailTracker-May-Be-Twice"] = "yes"
        mail.set_content(as_text(message.content))
        mail.add_alternative(message.report.html, subtype="html")
        html: Any = mail.get_body(("html",))
        for name, picture in message.report.pictures.items():
            file = f"{name.partition('@')[0]}.png"
            html.add_related(picture, "image", "png", cid=f"<{name}>", filename=file, disposition="inline")
        self._hand_on(mail)

    def tell(self, subject: str, text: str, now: datetime) -> None:
        # Two troubles of a day may have the same subject, and are two mails.
        mail = self._mail(subject, f"{subject}\0{text}\0{now.date()}", now)
        mail.set_content(text)
        self._hand_on(mail)

    def _mail(self, subject: str, key: str, now: datetime) -> EmailMessage:
        """A mail whose id is the same each time that it is tried, so that the other side may know it again."""
        mail = EmailMessage(policy=SMTP)
        mail["From"], mail["To"], mail["Subject"] = self._sender, self.recipient, subject
        mail["Date"] = format_datetime(now)
        digest = sha256(f"{key}\0{self.recipient}".encode()).hexdigest()[:32]
        mail["Message-ID"] = f"<{digest}@{self._sender.partition('@')[2]}>"
        mail["Auto-Submitted"] = "auto-generated"
        return mail

    def _hand_on(self, mail: EmailMessage) -> None:
        with self._connected() as server:
            try:
                server.send_message(mail)
            except smtplib.SMTPRecipientsRefused as error:
                [(code, words)] = error.recipients.values()
                raise ChannelError(f"is refused: {code} {_decoded(words)}", is_passing=code < FAILING) from None
            except smtplib.SMTPResponseException as error:
                raise _refused("the mail", error) from None
            except (smtplib.SMTPServerDisconnected, TimeoutError):
                # It may have come through before the answer was lost.
                lost = "the mail server did not answer to the end"
                raise ChannelError(lost, is_passing=True, may_have_arrived=True) from None

    @contextmanager
    def _connected(self) -> Iterator[smtplib.SMTP]:
        parts = urlsplit(self._url)
        host, asked = parts.hostname or "", dict(parse_qsl(parts.query))
        trusted = ssl.create_default_context(cafile=asked.get("ca"))
        try:
            if parts.scheme == "smtps":
                server: smtplib.SMTP = smtplib.SMTP_SSL(host, parts.port or 465, timeout=SECONDS, context=trusted)
            else:
                server = smtplib.SMTP(host, parts.port or 587, timeout=SECONDS)
        except smtplib.SMTPResponseException as error:
            raise _refused("the connection", error) from None
        except (smtplib.SMTPException, OSError) as error:
            raise ChannelError(f"the mail server {host} can't be reached: {error}", is_passing=True) from None
        try:
            if parts.scheme == "smtp":
                self._encrypt(server, host, trusted)
            if parts.username and parts.password:
                self._sign_in(server, unquote(parts.username), unquote(parts.password))
            yield server
        finally:
            server.close()

    def _encrypt(self, server: smtplib.SMTP, host: str, trusted: ssl.SSLContext) -> None:
        try:
            server.ehlo()
            if server.has_extn("starttls"):
                server.starttls(context=trusted)
                server.ehlo()
            elif not is_loopback(host):
                raise ChannelError(f"the mail server {host} offers no encryption: nothing is sent")
        except smtplib.SMTPResponseException as error:
            raise _refused("encryption", error) from None
        except ssl.SSLError as error:
            raise ChannelError(f"the mail server {host} is not who it should be: {error.reason}") from None
        except (smtplib.SMTPServerDisconnected, OSError) as error:
            raise ChannelError(f"the mail server {host} broke off: {error}", is_passing=True) from None

    def _sign_in(self, server: smtplib.SMTP, user: str, password: str) -> None:
        try:
            server.login(user, password)
        except smtplib.SMTPAuthenticationError:
            raise ChannelError("the mail server does not take the user and password of SMTP_URL") from None
        except (smtplib.SMTPException, OSError) as error:
            raise ChannelError(f"the mail server broke off: {error}", is_passing=True) from None


class Slack(Channel):
    """The channel that a webhook of Slack belongs to."""

    name, recipient, shown = "slack", "slack", "Slack"

    def __init__(self, url: SecretStr) -> None:
        self._url = url.get_secret_value()

    def send(self, message: Message) -> None:
        self._post(self._told(message))

    def tell(self, subject: str, text: str, now: datetime) -> None:
        self._post({"text": mrkdwn(f"{subject}\n{text}")[:LONGEST_TEXT]})

    def _told(self, message: Message) -> dict[str, Any]:
        told: dict[str, Any] = orjson.loads(as_slack(message.content))
        if message.may_be_twice:
            told["blocks"][-1]["elements"].append({"type": "mrkdwn", "text": TWICE})
        return told | {"text": message.subject}

    def _post(self, told: dict[str, Any]) -> None:
        from slack_sdk.webhook import WebhookClient

        try:
            answer = WebhookClient(self._url, timeout=SECONDS).send_dict(told)
        except TimeoutError:
            raise ChannelError("Slack did not answer", is_passing=True, may_have_arrived=True) from None
        except OSError as error:
            raise ChannelError(f"Slack can't be reached: {error}", is_passing=True) from None
        if answer.status_code != 200:
            raise refused(f"Slack answered {answer.status_code}: {answer.body}", answer.status_code)


class SlackApp(Slack):
    """A channel that an app of Slack may write to: the report as PDF stands in the thread below its message."""

    def __init__(self, token: SecretStr, channel: str, url: str) -> None:
        self._token, self.recipient, self._url = token.get_secret_value(), channel, url
        self._threads: dict[str, str] = {}

    def send(self, message: Message) -> None:
        # Where only the file was not taken, only the file is tried again.
        if message.key not in self._threads:
            self._threads[message.key] = self._begun(self._told(message))
        self._asked(
            "files_upload_v2",
            channel=self.recipient,
            thread_ts=self._threads[message.key],
            filename=f"{message.content.rules.id}-{message.content.period.start}.pdf",
            title=message.subject,
            content=FORMATS["pdf"][1](message.content),
        )

    def _post(self, told: dict[str, Any]) -> None:
        self._begun(told)

    def _begun(self, told: dict[str, Any]) -> str:
        """The thread that begins with it."""
        return str(self._asked("chat_postMessage", channel=self.recipient, **told)["ts"])

    def _asked(self, method: str, **given: Any) -> Any:
        from slack_sdk import WebClient
        from slack_sdk.errors import SlackApiError, SlackRequestError

        client = WebClient(self._token, f"{self._url.rstrip('/')}/", SECONDS)
        try:
            return getattr(client, method)(**given)
        except SlackApiError as error:
            said = error.response.get("error") or "nothing that can be read"
            is_passing = said in SLACK_MAY_PASS or "error" not in error.response
            raise ChannelError(f"Slack answered {said}", is_passing=is_passing) from None
        except SlackRequestError:
            raise ChannelError("Slack did not take the file", is_passing=True) from None
        except TimeoutError:
            raise ChannelError("Slack did not answer", is_passing=True, may_have_arrived=True) from None
        except OSError as error:
            raise ChannelError(f"Slack can't be reached: {error}", is_passing=True) from None


class Other(Channel):
    """Any channel that apprise knows, by its address there: Teams, Matrix, Telegram, ..."""

    name = "other"

    def __init__(self, url: SecretStr) -> None:
        self._url = self.recipient = url.get_secret_value()
        self.shown = urlsplit(self._url).scheme

    def send(self, message: Message) -> None:
        self.tell(message.subject, as_text(message.content), message.now)

    def tell(self, subject: str, text: str, now: datetime) -> None:
        import apprise

        hub = apprise.Apprise()
        if not hub.add(self._url):
            raise ChannelError(f"REPORT_CHANNELS: apprise does not understand an address that begins with {self.shown}")
        if not hub.notify(body=text, title=subject, body_format=apprise.NotifyFormat.TEXT):
            raise ChannelError(f"{self.shown} did not take it", is_passing=True)


class Folder(Channel):
    """A folder, or a place in an object store, as fsspec names it."""

    name = "folder"

    def __init__(self, url: str) -> None:
        self._url = self.recipient = url
        self.shown = urlsplit(url).path.rpartition("/")[2] or url

    def send(self, message: Message) -> None:
        name = f"{message.content.rules.id}-{message.content.period.start}"
        for form in KEPT_FORMS:
            ending, made = FORMATS[form]
            put(self._url, f"{name}.{ending}", made(message.content))

    def tell(self, subject: str, text: str, now: datetime) -> None:
        told = f"{subject}\n\n{text}\n".encode()
        put(self._url, f"{now:%Y-%m-%dT%H%M}-{sha256(told).hexdigest()[:8]}.txt", told)


def channels_of(settings: ReportSettings) -> list[Channel]:
    """Everybody whom reports go to."""
    found: list[Channel] = []
    if settings.smtp_url is not None:
        found += [Mail(settings.smtp_url, one.address, one.reports) for one in settings.recipients]
    slack = _slack_of(settings)
    found += [slack] if slack is not None else []
    found += [Other(url) for url in settings.other_channels]
    if settings.folder is not None:
        found.append(Folder(settings.folder))
    return found


def mail_to(settings: ReportSettings, address: str) -> Channel:
    """Somebody who is mailed to, whoever they are. Raises SettingsError without a mail server."""
    if settings.smtp_url is None:
        raise SettingsError("SMTP_URL is not set: there is no server to mail by")
    return Mail(settings.smtp_url, address)


def owner_of(settings: ReportSettings) -> Channel | None:
    """Who is told of what went wrong: the owner by mail, else Slack."""
    if settings.owner and settings.smtp_url is not None:
        return Mail(settings.smtp_url, settings.owner)
    return _slack_of(settings)


def _slack_of(settings: ReportSettings) -> Slack | None:
    if settings.slack_token is not None and settings.slack_channel is not None:
        return SlackApp(settings.slack_token, settings.slack_channel, settings.slack_api_url)
    return Slack(settings.slack_webhook_url) if settings.slack_webhook_url is not None else None


def refused(said: str, status: int) -> ChannelError:
    """What an answer over HTTP means that is no success."""
    is_passing = status in (TIMED_OUT, BUSY) or status >= FAILING
    return ChannelError(said, is_passing=is_passing, may_have_arrived=status == TIMED_OUT)


def _refused(what: str, error: smtplib.SMTPResponseException) -> ChannelError:
    return ChannelError(
        f"the mail server refuses {what}: {error.smtp_code} {_decoded(error.smtp_error)}",
        is_passing=error.smtp_code < FAILING,
    )


def _decoded(words: bytes | str) -> str:
    return words.decode(errors="replace") if isinstance(words, bytes) else words
