"""Charges of the last hours, as they are now: for what never lands."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from tailtracker_bi.settings import Settings
from tailtracker_bi.sources.records import SourceUnavailableError
from tailtracker_bi.sources.stripe.api import StripeSettings, open_api

MOST_CHARGES = 5_000
"""Fifty requests, each 15 minutes: who has more in two days reads them by refreshes alone."""
WITHOUT_DECIMALS = (
    "BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "VND", "VUV", "XAF", "XOF", "XPF",
)  # fmt: skip
WITH_THREE = ("BHD", "JOD", "KWD", "OMR", "TND")
"""As `major_unit_share` of the models has them; all others have two."""


@dataclass(frozen=True)
class Charge:
    """One attempt to pay, in UTC, by a customer if one is known; `paid` is in major units, none where it failed."""

    occurred_at: datetime
    currency: str
    paid: Decimal | None
    customer: str | None


def recent_charges(settings: Settings, since: datetime, say: Callable[[str], None]) -> Iterator[Charge]:
    """The charges made since a moment that succeeded or failed, of the key's mode; it never waits for a rate limit.

    Raises SourceUnavailableError, BadResponseError.
    """
    is_live = settings.of(StripeSettings).is_live
    with open_api(settings.model_copy(update={"waits": False}), say) as api:
        found = api.objects("charges", created={"gte": int(since.timestamp())})
        for number, item in enumerate(found):
            if number == MOST_CHARGES:
                raise SourceUnavailableError(f"stripe: more than {MOST_CHARGES:,} charges since {since:%Y-%m-%d %H:%M}")
            status, currency = item.get("status"), str(item.get("currency", "")).upper()
            if item.get("livemode") is not is_live or status not in ("succeeded", "failed"):
                continue
            digits = 0 if currency in WITHOUT_DECIMALS else 3 if currency in WITH_THREE else 2
            paid = Decimal(item.get("amount_captured") or 0).scaleb(-digits) if status == "succeeded" else None
            yield Charge(datetime.fromtimestamp(item["created"], UTC), currency, paid, item.get("customer"))
