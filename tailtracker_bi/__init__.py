"""TailTracker BI: pull, check, model, publish."""
