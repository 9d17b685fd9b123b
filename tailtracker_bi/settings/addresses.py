"""Where credentials may go: to their vendor over TLS, or to this machine where that is allowed."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

_PRIVATE_NAMES = (".internal", ".local", ".svc", ".cluster.local")
"""How the names end that only a network of one's own knows; a name of one part is one, too."""
_HOST_NAME = re.compile(r"(?:[a-z0-9-]+\.)*[a-z](?:[a-z0-9-]*[a-z0-9])?", re.IGNORECASE | re.ASCII)
"""The last part begins with a letter: numbers in all their spellings are addresses."""
DATABASE_PARAMETERS = {
    "application_name": "tailtracker-bi",
    "connect_timeout": "15",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
}
_PLAIN_URL = re.compile(r"[a-z]+://[a-z0-9\[][a-z0-9.:\[\]-]*(?:/[a-z0-9._/-]*)?", re.IGNORECASE | re.ASCII)


def check_base_url(name: str, url: str, domain: str, allow_loopback: bool) -> None:
    """Refuse URLs that could carry credentials anywhere but to the vendor, or to this machine when that is allowed."""
    if not _PLAIN_URL.fullmatch(url):
        raise ValueError(f"{name} must be a plain base URL, without user, query or fragment")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        raise ValueError(f"{name} is not a URL") from None
    if parts.scheme == "https" and (host == domain or host.endswith("." + domain)):
        return
    if parts.scheme in {"http", "https"} and is_loopback(host):
        if allow_loopback:
            return
        raise ValueError(f"{name} points at this machine: set TAILTRACKER_ALLOW_LOOPBACK=1 if that is meant")
    raise ValueError(f"{name} must be an https URL of {domain}")


def check_own_url(name: str, url: str, what: str, allow_loopback: bool) -> None:
    """Refuse what can't be a server of one's own, and plain http beyond one's own network; `what` it is a server of."""
    if not _PLAIN_URL.fullmatch(url):
        raise ValueError(f"{name} must be a plain base URL, without user, query or fragment")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        raise ValueError(f"{name} is not a URL") from None
    if parts.scheme not in {"http", "https"}:
        raise ValueError(f"{name} must be an http or https URL")
    if is_loopback(host):
        if not allow_loopback:
            raise ValueError(f"{name} points at this machine: set TAILTRACKER_ALLOW_LOOPBACK=1 if that is meant")
        return
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        if not _HOST_NAME.fullmatch(host):
            raise ValueError(f"{name} names no host") from None
        is_private = "." not in host or host.endswith(_PRIVATE_NAMES)
    else:
        # 0.0.0.0 is this machine, and what answers at link-local addresses hands out a cloud machine's credentials.
        mapped = getattr(address, "ipv4_mapped", None)
        if mapped or address.is_link_local or address.is_unspecified or address.is_multicast or address.is_reserved:
            raise ValueError(f"{name} points at an address at which no {what} is")
        is_private = address.is_private
    if parts.scheme == "http" and not is_private:
        raise ValueError(f"{name} must be https, unless it is a private address or name")


def check_secret_url(name: str, url: str, what: str, allow_loopback: bool) -> None:
    """Refuse what can't be a server of one's own, and all plain http but to this machine: a secret goes there."""
    check_own_url(name, url, what, allow_loopback)
    parts = urlsplit(url)
    if parts.scheme != "https" and not is_loopback(parts.hostname or ""):
        raise ValueError(f"{name} must be https: a secret goes there")


def check_mail_url(name: str, url: str, allow_loopback: bool) -> None:
    """Refuse what names no mail server, or nobody to write as; to another machine mail goes encrypted anyway."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        raise ValueError(f"{name} is not a URL") from None
    if parts.scheme not in {"smtp", "smtps"} or not host:
        raise ValueError(f"{name} must look like smtp://user:password@host:587?from=reports@example.com, or smtps://")
    if is_loopback(host) and not allow_loopback:
        raise ValueError(f"{name} points at this machine: set TAILTRACKER_ALLOW_LOOPBACK=1 if that is meant")
    if "@" not in mail_sender(url):
        raise ValueError(f"{name} must say who writes: ?from=reports@example.com at its end")


def mail_sender(url: str) -> str:
    """The address that mail comes from: what the URL says, or its user where that is one."""
    parts = urlsplit(url)
    return dict(parse_qsl(parts.query)).get("from") or unquote(parts.username or "")


def check_database_url(name: str, url: str) -> None:
    """Refuse what names no Postgres database."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise ValueError(f"{name} is not a URL") from None
    if parts.scheme not in {"postgresql", "postgres"} or not parts.path.strip("/"):
        raise ValueError(f"{name} must look like postgresql://user:password@host/database")


def database_address(url: str) -> str:
    """The URL with what it leaves open: time limits, and on the way to another machine encryption to the right one."""
    given = dict(parse_qsl(urlsplit(url).query))
    host = given.get("host") or given.get("hostaddr") or urlsplit(url).hostname or ""
    is_here = host in {"", "localhost", "::1"} or host.startswith(("/", "%2f", "127."))
    checked = {} if is_here or "sslmode" in given else {"sslmode": "verify-full", "sslrootcert": "system"}
    wanted = DATABASE_PARAMETERS | checked
    added = {name: value for name, value in wanted.items() if name not in given}
    return f"{url}{'&' if '?' in url else '?'}{urlencode(added, quote_via=quote)}"


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
