"""All Dagster, one file a stage. What belongs here: assets, jobs and their wiring. What does not: any of the work."""
