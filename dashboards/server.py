"""What serves the pages: under which names, and where people sign in. Start it with `tailtracker-bi dashboard`.

Streamlit reads secrets from a file; given here, they are on no disk.
"""

from __future__ import annotations

import gc
import re
import sys
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import streamlit as st
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

sys.path.append(str(Path(__file__).resolve().parent.parent))

from tailtracker_bi.settings import SignInSettings, load_sign_in_settings

CALLBACK = "/oauth2callback"
ASKED, SIGNED_IN = "tailtracker_asked", "_streamlit_user"
"""Cookies: the page that was asked for last, and, set by Streamlit, who signed in."""
FIVE_MINUTES = 300
A_PLACE_HERE = re.compile(r"/(?![/\\])[^\\\x00-\x20\x7f]*")
"""A path of this server, and no other address: a browser takes `//host` and `/\\host` for one."""


class BackToWhatWasAsked:
    """Who signs in comes to the page that they asked for, and not to the first one."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = Request(scope)

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                _remember_or_return(request, MutableHeaders(scope=message))
            await send(message)

        await self.app(scope, receive, answer)


def _remember_or_return(request: Request, headers: MutableHeaders) -> None:
    if request.url.path == CALLBACK:
        has_signed_in = any(cookie.startswith(f"{SIGNED_IN}=") for cookie in headers.getlist("set-cookie"))
        asked = unquote(request.cookies.get(ASKED, ""))
        if has_signed_in and A_PLACE_HERE.fullmatch(asked):
            headers["location"] = asked
    elif request.headers.get("sec-fetch-mode") == "navigate" and headers.get("content-type", "").startswith(
        "text/html"
    ):
        asked = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        told = f"{ASKED}={quote(asked)}; Path=/; HttpOnly; SameSite=Lax; Max-Age={FIVE_MINUTES}"
        headers.append("set-cookie", told)


def secrets_of(sign_in: SignInSettings) -> dict[str, Any]:
    """What Streamlit takes from its secrets."""
    if sign_in.client_secret is None or sign_in.cookie_secret is None or sign_in.dashboard_url is None:
        return {}
    return {
        "auth": {
            "redirect_uri": sign_in.dashboard_url.rstrip("/") + CALLBACK,
            "cookie_secret": sign_in.cookie_secret.get_secret_value(),
            "client_id": sign_in.client_id,
            "client_secret": sign_in.client_secret.get_secret_value(),
            "server_metadata_url": sign_in.metadata_url,
        }
    }


def hosts_of(sign_in: SignInSettings) -> list[str]:
    """The names under which the dashboard answers: a page elsewhere whose name leads here gets nothing."""
    own = urlsplit(sign_in.dashboard_url or "").hostname
    return [own] if own else ["localhost", "127.0.0.1"]


settings = load_sign_in_settings()
app = st.App(
    "streamlit_app.py",
    secrets=secrets_of(settings),
    middleware=[
        Middleware(TrustedHostMiddleware, allowed_hosts=hosts_of(settings), www_redirect=False),
        Middleware(BackToWhatWasAsked),
    ],
)
# What is loaded once and stays need not be looked through again and again by the garbage collector.
import_module("dashboards.sections")
gc.collect()
gc.freeze()
