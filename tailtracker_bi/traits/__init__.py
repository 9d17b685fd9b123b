"""What was computed of people, told to their profiles in Mixpanel: of who consented alone, and what changed.

What belongs here: whose profile is told what, sending it, and what was told. What does not: how a trait is computed
(`dbt_project/models/marts/people/fct_profile_traits.sql`), and reading from Mixpanel (`sources/`).
"""

from tailtracker_bi.traits.profiles import nobody_told
from tailtracker_bi.traits.sending import Plan, update_profiles

__all__ = ["Plan", "nobody_told", "update_profiles"]
