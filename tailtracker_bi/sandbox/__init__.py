"""A TailTracker to try this project on: a story of people and what they do, behind the real wire protocols."""
