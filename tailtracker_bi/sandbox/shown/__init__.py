"""What each source shows of a story at some moment, in that source's own words."""

__all__ = []
