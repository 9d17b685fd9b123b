"""Last hours: today so far, partial, beside the same hours of the day before."""

from dashboards.opening import tell
from dashboards.sections import LastHours

tell(
    "Last hours",
    "What happens today: partial, and not to be compared with days on other pages, which are complete.",
    LastHours(),
)
