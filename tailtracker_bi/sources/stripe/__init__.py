"""Stripe: its lists and events feed, the fields that are kept, and the versions that come of them."""

from tailtracker_bi.sources.stripe.reading import Stripe
from tailtracker_bi.sources.stripe.recent import Charge, recent_charges

__all__ = ["Charge", "Stripe", "recent_charges"]
