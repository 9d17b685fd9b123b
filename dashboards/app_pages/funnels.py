"""Funnels: how far people get, how long each step takes them, and who gets further."""

from dashboards.opening import show
from dashboards.sections import Funnels

show(
    "Funnels",
    "How far people get on the way to what matters, how long each step takes, and who gets further.",
    Funnels(),
    needs=["funnel_steps"],
)
