"""Channels that work with alerts, not with words: PagerDuty by its Events API v2, and any program by a signed webhook.

    X-TailTracker-Timestamp: 1741762800                  seconds since 1970, part of what is signed
    X-TailTracker-Signature: v1=<hex>                    HMAC-SHA256 of "<timestamp>.<body>" by ALERT_WEBHOOK_SECRET
    X-TailTracker-Delivery: <hex>                        the same each time that the same news are tried

Either is asked in a way that may be repeated: what an alert is known by is the same from its first try to its end.
"""

from __future__ import annotations

import hmac
from collections.abc import Collection, Sequence
from datetime import UTC, datetime, time
from hashlib import sha256

import orjson
from pydantic import SecretStr

from tailtracker_bi.delivery.channels import (
    SECONDS,
    Channel,
    ChannelError,
    Mail,
    Message,
    News,
    channels_of,
    owner_of,
    refused,
)
from tailtracker_bi.errors import TailTrackerError
from tailtracker_bi.settings import ReportSettings

LONGEST_SUMMARY = 1024
"""Of PagerDuty."""
TAKEN = range(200, 300)


class _Posting(Channel):
    """Somebody who is told by an HTTP POST, and takes no reports."""

    def takes(self, report: str) -> bool:
        return False

    def send(self, message: Message) -> None:
        raise TailTrackerError(f"{self.shown} takes alerts, not reports")

    def tell(self, subject: str, text: str, now: datetime) -> None:
        raise TailTrackerError(f"{self.shown} takes alerts, not words")

    def _post(self, url: str, body: bytes, headers: dict[str, str]) -> None:
        import httpx

        try:
            # It goes nowhere but where it is told: no redirects, no proxies of the environment.
            answer = httpx.post(
                url,
                content=body,
                headers={"Content-Type": "application/json", **headers},
                timeout=SECONDS,
                trust_env=False,
                follow_redirects=False,
            )
        except httpx.ConnectError as error:
            raise ChannelError(f"{self.shown} can't be reached: {error}", is_passing=True) from None
        except httpx.HTTPError as error:
            lost = f"{self.shown} did not answer to the end: {error}"
            raise ChannelError(lost, is_passing=True, may_have_arrived=True) from None
        if answer.status_code not in TAKEN:
            raise refused(f"{self.shown} answered {answer.status_code}: {answer.text}", answer.status_code)


class PagerDuty(_Posting):
    """The service that a routing key belongs to: an incident an alert, opened and resolved."""

    name, recipient, shown = "pagerduty", "pagerduty", "PagerDuty"

    def __init__(self, url: str, routing_key: SecretStr, dashboard_url: str | None) -> None:
        self._url = f"{url.rstrip('/')}/v2/enqueue"
        self._key, self._dashboard_url = routing_key.get_secret_value(), dashboard_url

    def alert(self, news: Sequence[News], now: datetime, may_be_twice: bool = False) -> None:
        for one in news:
            # Nobody is called for what is over.
            if one.is_new and one.is_over:
                continue
            self._post(self._url, orjson.dumps(self._event(one)), {})

    def _event(self, one: News) -> dict[str, object]:
        event: dict[str, object] = {
            "routing_key": self._key,
            "event_action": "resolve" if one.is_over else "trigger",
            "dedup_key": f"tailtracker-bi-{one.token}",
        }
        if one.is_over:
            return event
        summary = f"{one.alert}: {one.said}"
        payload = {
            "summary": summary if len(summary) <= LONGEST_SUMMARY else summary[: LONGEST_SUMMARY - 1] + "…",
            "source": "tailtracker-bi",
            "severity": one.severity,
            "timestamp": datetime.combine(one.began, time(), UTC).isoformat(),
            "class": one.alert,
            "custom_details": {"began": one.began.isoformat()},
        }
        link = {"client_url": self._dashboard_url} if self._dashboard_url else {}
        return {**event, "payload": payload, "client": "TailTracker BI", **link}


class Webhook(_Posting):
    """A program at an address, which knows by a shared secret that what comes is from here and is no repetition."""

    name, shown = "webhook", "the webhook"

    def __init__(self, url: SecretStr, secret: SecretStr) -> None:
        self._url = self.recipient = url.get_secret_value()
        self._secret = secret.get_secret_value().encode()

    def alert(self, news: Sequence[News], now: datetime, may_be_twice: bool = False) -> None:
        told = [
            {
                "key": one.token,
                "alert": one.alert,
                "severity": one.severity,
                "state": "resolved" if one.is_over else "firing",
                "is_new": one.is_new,
                "began": one.began,
                "ended": one.ended,
                "said": one.text,
            }
            for one in news
        ]
        body = orjson.dumps({"version": 1, "alerts": told})
        stamp = str(int(now.timestamp()))
        signed = hmac.new(self._secret, f"{stamp}.".encode() + body, sha256).hexdigest()
        headers = {
            "X-TailTracker-Timestamp": stamp,
            "X-TailTracker-Signature": f"v1={signed}",
            "X-TailTracker-Delivery": sha256(body).hexdigest()[:32],
        }
        self._post(self._url, body, headers)


def alert_channels(settings: ReportSettings, ways: Collection[str]) -> list[Channel]:
    """Who is told of alerts by some of the ways: each that settings open, of those by mail the owner alone."""
    found = [channel for channel in channels_of(settings) if channel.name != Mail.name]
    if settings.pagerduty_routing_key is not None:
        found.append(PagerDuty(settings.pagerduty_url, settings.pagerduty_routing_key, settings.dashboard_url))
    if settings.alert_webhook_url is not None and settings.alert_webhook_secret is not None:
        found.append(Webhook(settings.alert_webhook_url, settings.alert_webhook_secret))
    owner = owner_of(settings)
    if owner is not None and owner.name == Mail.name:
        found.append(owner)
    return [channel for channel in found if channel.name in ways]
