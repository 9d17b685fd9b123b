"""What numbers let one expect: which days of a metric are out of the ordinary, and where it is going.

What belongs here: statistics over the values of a build, and how well they did on its own past. What does not: where
the values come from and where the results are written. Frames in, frames out, no SQL; the same frames give the same
results, however many of them an earlier build had already.
"""

from tailtracker_bi.inference.forecasts import FORECAST
from tailtracker_bi.inference.infer import SCHEMAS, infer
from tailtracker_bi.inference.ltv import COHORTS, LIVES, MONTHS, PURCHASES, predict
from tailtracker_bi.inference.series import SERIES

__all__ = [
    "COHORTS",
    "FORECAST",
    "LIVES",
    "MONTHS",
    "PURCHASES",
    "SCHEMAS",
    "SERIES",
    "infer",
    "predict",
]
