"""Explore: a funnel, a retention or a trend that nobody declared, counted as a build would count it."""

from dashboards.opening import tell
from dashboards.sections import Asked

tell("Explore", "Ask the events themselves: the answer is the one that a build would publish.", Asked())
