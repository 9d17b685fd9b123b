"""The wire protocols of the sources, served on this machine, with their limits, errors and faults."""

__all__ = []
