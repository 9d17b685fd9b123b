"""Metrics for assistants, by the Model Context Protocol: programs that read for people, and repeat what they read.

What belongs here: what each question is answered with, the build as assistants may see it, the protocol. What does not:
how a figure is read, judged or explained (`figures/`), and which figures are of few people (`access/`).
"""

from tailtracker_bi.assistants.seen import Sight
from tailtracker_bi.assistants.server import serve

__all__ = ["Sight", "serve"]
