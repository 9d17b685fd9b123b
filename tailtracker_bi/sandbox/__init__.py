"""An invented TailTracker, served in place of the real sources, and what is true of it.

    story/      what happens in the company, from one seed
    shown/      what each source shows of that at some moment, in its own words
    servers/    the wire protocols: Mixpanel's export, Stripe's API, Prometheus, a real Postgres
    truth       the true value of each metric, by the story alone; `check` compares a bundle with it

What belongs here: what is invented. Nothing else imports it but the command line, tests and benchmarks. What does not:
anything that a refresh needs.
"""

__all__ = ["check", "control", "home", "servers", "service", "shown", "story", "truth"]
