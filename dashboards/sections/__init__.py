"""What pages are described with: each section is a dataclass that says what it shows, and shows it."""

from dashboards.sections.about_data import Agreement, ExactSince, NotCounted, Restated, Summary, Tables, TheBuild
from dashboards.sections.catalogues import EventCatalogue, MetricCatalogue
from dashboards.sections.customers import RevenueCohorts, Staying, Trials, Worth
from dashboards.sections.explored import Asked
from dashboards.sections.health import ServiceLevels
from dashboards.sections.last_hours import LastHours
from dashboards.sections.layout import Headlines, Row, Tiles
from dashboards.sections.mrr import MrrMovements, OtherTools
from dashboards.sections.over_time import Chosen, Trend
from dashboards.sections.payments import DeclineCodes, DunningCurve, PaymentOutcomes
from dashboards.sections.people import DaysActive, Funnels, FunnelSteps, Retention
from dashboards.sections.together import Lines, Stacks

__all__ = [
    "Agreement", "Asked", "Chosen", "DaysActive", "DeclineCodes", "DunningCurve", "EventCatalogue", "ExactSince",
    "FunnelSteps", "Funnels", "Headlines", "LastHours", "Lines", "MetricCatalogue", "MrrMovements", "NotCounted",
    "OtherTools", "PaymentOutcomes", "Restated", "Retention", "RevenueCohorts", "Row", "ServiceLevels", "Stacks",
    "Staying", "Summary", "Tables", "TheBuild", "Tiles", "Trend", "Trials", "Worth",
]  # fmt: skip
