"""Who is here, and what they may see: asked by the router, and by every function that reads for a page.

The rules are in `tailtracker_bi.access`. Each is asked anew on every rerun, so that a role that is taken away is gone
with the next one. Addresses are in no log: somebody is told apart by a keyed hash.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import logging
from collections import deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache, lru_cache
from pathlib import Path
from time import time
from typing import Any, NamedTuple, NoReturn

import streamlit as st

from tailtracker_bi.access import AccessError, NotSignedInError, Policy, Right, Role, Visitor, admit, load_policy
from tailtracker_bi.errors import SettingsError, TailTrackerError
from tailtracker_bi.figures.wording import plain
from tailtracker_bi.settings import SignInSettings, load_sign_in_settings

COOKIE = "_streamlit_user"
"""Where Streamlit keeps, signed, what the provider said."""
TOLD, LEFT = "refusals told", "signed out"
"""Of a session: the refusals that were noted, and that it has been ended, so that its cookie is no riddle."""
MOST_KEPT = 200
LONGEST = 31 * 86_400
"""Seconds: no sign-in lasts longer, so that nobody needs to know any more that it was ended."""
ON_THIS_MACHINE = Visitor((Role.admin,), 0)
"""Whoever reaches a dashboard that nobody signs in to could read the published file as well."""
_log = logging.getLogger(__name__)
_signed_out: dict[tuple[str, str, str], float] = {}
"""The sign-ins that were ended here, and when: other tabs still hold them, and so does who copied their cookie."""


class Refusal(NamedTuple):
    """That something was not shown to somebody."""

    at: datetime
    who: str
    what: str
    why: str


refusals: deque[Refusal] = deque(maxlen=MOST_KEPT)
"""The last ones since the dashboard was started."""


@cache
def sign_in() -> SignInSettings:
    """Where people sign in, as this process was started with it."""
    return load_sign_in_settings()


def policy() -> Policy:
    """Who has which role, as it stands in the file now. Raises SettingsError."""
    file = sign_in().access_file
    if file is None:
        raise SettingsError("nobody signs in to this dashboard: there are no roles")
    try:
        state = file.stat()
    except OSError as error:
        raise SettingsError(f"TAILTRACKER_ACCESS: can't read {file}: {error.strerror}") from None
    return _policy(file, (state.st_ino, state.st_mtime_ns, state.st_size, state.st_mode))


@lru_cache(maxsize=1)
def _policy(file: Path, _: tuple[int, ...]) -> Policy:
    return load_policy(file)


def here() -> Visitor:
    """Who looks at the page that is being made. Raises TailTrackerError where nothing is open to them."""
    if not sign_in().is_on:
        if not _is_this_machine(st.get_option("server.address")):
            raise AccessError(
                "This dashboard is open to other machines, and nobody signs in to it. Start it with "
                "`tailtracker-bi dashboard`.",
                "no provider",
            )
        return ON_THIS_MACHINE
    return _admitted(claimed())


def still(right: Right, what: str, make: Callable[[], bytes]) -> Callable[[], bytes]:
    """What is made after the page has run, on a click: for who is here now, if they still have the right by then."""
    is_on, claims = sign_in().is_on, claimed()

    def made() -> bytes:
        if is_on:
            _admitted(claims).require(right, what)
        return make()

    return made


def _admitted(claims: Mapping[str, Any]) -> Visitor:
    if not claims:
        raise NotSignedInError("You are not signed in.", "not signed in")
    if _key(claims) in _signed_out:
        raise NotSignedInError("You have signed out: sign in again.", "signed out")
    try:
        rules = policy()
    except SettingsError as error:
        _log.error("%s", error)
        raise AccessError(
            "Nobody is let in at the moment: who has which role can't be read. Whoever runs this dashboard finds the "
            "reason in its log.",
            "roles can't be read",
        ) from None
    return admit(rules, claims, time())


def identity() -> str:
    """Who is here to their provider; without one all on this machine are one. Raises TailTrackerError as `here`."""
    here()
    return "\0".join(_key(claimed())[:2]) if sign_in().is_on else "this machine"


def claimed() -> Mapping[str, Any]:
    """What the provider says of who looks at the page; nothing of somebody who has not signed in."""
    claims = st.user.to_dict()
    return claims if claims.get("is_logged_in") is True else {}


def note_refusal(what: str, error: AccessError) -> None:
    """Log that something was refused, once a session, and keep it for the page Access."""
    told: set[tuple[str, str]] = st.session_state.setdefault(TOLD, set())
    if (what, error.why) in told:
        return
    told.add((what, error.why))
    refusal = Refusal(datetime.now(UTC), _pseudonym(claimed()), what, error.why)
    refusals.append(refusal)
    _log.warning("%s refused to %s: %s: %s", refusal.at.isoformat(timespec="seconds"), *refusal[1:])


def sign_out() -> None:
    """End the sign-in of who is here, in all tabs."""
    st.session_state[LEFT] = True
    now = time()
    for key in [key for key, when in [*_signed_out.items()] if now - when > LONGEST]:
        _signed_out.pop(key, None)
    _signed_out[_key(claimed())] = now
    st.logout()


def rights() -> frozenset[Right]:
    """What whoever is here may do; nothing where they are not let in."""
    try:
        return here().rights
    except TailTrackerError:
        return frozenset()


def check(right: Right, title: str) -> None:
    """Before a page is made: stop where it is not open to who is here, say why, and what they can do about it."""
    try:
        visitor = here()
        visitor.require(right, title)
    except NotSignedInError as error:
        _ask_to_sign_in(error)
    except AccessError as error:
        note_refusal(title, error)
        _refuse(title, error)
    except TailTrackerError as error:
        _refuse(title, error)
    with st.sidebar:
        if sign_in().is_on:
            st.caption(f":material/person: {visitor.named.capitalize()}")
            st.button("Sign out", icon=":material/logout:", type="tertiary", on_click=sign_out)
        else:
            st.caption(":material/lock_open: Nobody signs in: open on this machine alone.")


def _ask_to_sign_in(error: NotSignedInError) -> NoReturn:
    if st.context.cookies.get(COOKIE) and LEFT not in st.session_state:
        # There is something that was to pass for a sign-in: it is over, forged, or from before the secret changed.
        note_refusal("everything", error)
    st.title("TailTracker BI")
    st.markdown(f"{error} You come back to the page that you asked for.")
    st.button("Sign in", type="primary", icon=":material/login:", on_click=st.login)
    st.stop()


def _refuse(title: str, error: TailTrackerError) -> NoReturn:
    st.title(title)
    st.error(plain(str(error)), icon=":material/lock:")
    if sign_in().is_on and claimed():
        st.button("Sign out", icon=":material/logout:", on_click=sign_out)
    st.stop()


def _key(claims: Mapping[str, Any]) -> tuple[str, str, str]:
    """One sign-in of one person."""
    return str(claims.get("iss")), str(claims.get("sub")), str(claims.get("iat"))


def _pseudonym(claims: Mapping[str, Any]) -> str:
    secret = sign_in().cookie_secret
    if not claims or secret is None:
        return "nobody known"
    named = "\0".join(_key(claims)[:2]).encode()
    return hmac.new(secret.get_secret_value().encode(), named, hashlib.sha256).hexdigest()[:12]


def _is_this_machine(address: str | None) -> bool:
    """Whether the server listens to this machine alone; without a server, as in tests, there is no address."""
    if address is None or address == "localhost":
        return True
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
