"""Event catalogue: which events are received, how often and of how many people."""

from dashboards.opening import tell
from dashboards.sections import EventCatalogue

tell(
    "Event catalogue",
    "Which events the app sends, how often, of how many people, and since when.",
    EventCatalogue(),
    needs=["event_catalog"],
)
