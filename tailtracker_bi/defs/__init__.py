"""All Dagster, one file a stage, in the order data flows.

    ingestion > transformation > publishing     the assets; what is made of a bundle comes after publishing
    refresh, ledger                             what the steps of a run share; what has landed, in Dagster's words
    jobs                                        when it runs, and who is told

What belongs here: assets, jobs and their wiring. What does not: any of the work, which is that of `runs`.
"""
