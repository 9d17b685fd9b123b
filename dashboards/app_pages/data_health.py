"""Data health: what each source and table has, what is wrong and what to do about it, and which build this is."""

from dashboards.opening import tell
from dashboards.sections import Agreement, NotCounted, Restated, Summary, Tables, TheBuild

tell(
    "Data health",
    "What has been received, what has not, and what to do about it.",
    Summary(),
    Tables(),
    NotCounted(),
    Agreement(),
    Restated(),
    TheBuild(),
)
