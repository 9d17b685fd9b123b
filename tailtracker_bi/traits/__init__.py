"""What was computed of people, told to their profiles in Mixpanel: of who consented alone, and what changed.

What belongs here: whose profile is told what, sending it, and what was told. What does not: how a trait is computed
(`dbt_project/models/marts/people/fct_profile_traits.sql`), and reading from Mixpanel (`sources/`).
"""

from tailtracker_bi.traits.profiles import Profiles, current_profiles, nobody_told
from tailtracker_bi.traits.sending import Told, planned, send

__all__ = ["Profiles", "Told", "current_profiles", "nobody_told", "planned", "send"]
