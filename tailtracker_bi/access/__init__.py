"""Who may see what: roles and their rights, who has which role, and figures of so few people that they are hidden.

What belongs here: the rules, as functions of what a provider says of a person and of rows. What does not: signing in
and the pages, which are `dashboards/`; where the provider is, which is `settings/`.
"""

from tailtracker_bi.access.policy import (
    FEWEST,
    AccessError,
    NotSignedInError,
    PartsNotOpenError,
    Policy,
    Visitor,
    admit,
    load_policy,
)
from tailtracker_bi.access.roles import RIGHTS, Right, Role
from tailtracker_bi.access.small_cells import IN_THE_WHOLE, hide_few_events, hide_small, whole_rows, without_small

__all__ = [
    "FEWEST",
    "IN_THE_WHOLE",
    "RIGHTS",
    "AccessError",
    "NotSignedInError",
    "PartsNotOpenError",
    "Policy",
    "Right",
    "Role",
    "Visitor",
    "admit",
    "hide_few_events",
    "hide_small",
    "load_policy",
    "whole_rows",
    "without_small",
]
