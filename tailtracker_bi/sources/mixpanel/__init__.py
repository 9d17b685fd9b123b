"""Mixpanel: its raw export, and how lines of it become rows."""

from tailtracker_bi.sources.mixpanel.event_lines import EVENTS_SCHEMA, EventLines
from tailtracker_bi.sources.mixpanel.export import Mixpanel, MixpanelSettings, UnfinishedDays

__all__ = ["EVENTS_SCHEMA", "EventLines", "Mixpanel", "MixpanelSettings", "UnfinishedDays"]
