"""A TailTracker to try things on: an invented company, what its sources show, and the numbers that are true of it."""
