"""What is true of a story: the value of each metric, counted by family from the story alone."""

from tailtracker_bi.sandbox.truth.frame import Truth, Value
from tailtracker_bi.sandbox.truth.metrics import UNKNOWABLE, quotients, truth

__all__ = ["UNKNOWABLE", "Truth", "Value", "quotients", "truth"]
