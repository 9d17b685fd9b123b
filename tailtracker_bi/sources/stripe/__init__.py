"""Stripe: its lists and events feed, the fields that are kept, and the versions that come of them."""

from tailtracker_bi.sources.stripe.reading import Stripe

__all__ = ["Stripe"]
