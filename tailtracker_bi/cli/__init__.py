"""The command line: `tailtracker-bi`. One file a group of commands, each command a few lines that call a room.

What belongs here: arguments, what is printed, exit codes. What does not: any of the work.
"""

from tailtracker_bi.cli.app import main

__all__ = ["main"]
