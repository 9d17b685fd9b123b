"""The app's database: all of its tables as of one moment."""

from tailtracker_bi.sources.app_db.reading import AppDb

__all__ = ["AppDb"]
