"""What readers write themselves: notes on days, views that they saved, and which builds they looked at.

What belongs here: the one file that holds it, `readers/readers.sqlite3` in HOME, and the rules of what may stand in it.
What does not: who somebody is and what they may, which is `access/`, and the pages, which are `dashboards/`.
"""

from tailtracker_bi.readers.annotations import LONGEST_TITLE, Note, change_note, notes, remove_note, write_note
from tailtracker_bi.readers.looks import Look, look, look_anew
from tailtracker_bi.readers.saved_views import LONGEST_NAME, SavedView, remove_view, rename_view, save_view, views
from tailtracker_bi.readers.store import Store, StoreError, UnfitError, store_of

__all__ = [
    "LONGEST_NAME",
    "LONGEST_TITLE",
    "Look",
    "Note",
    "SavedView",
    "Store",
    "StoreError",
    "UnfitError",
    "change_note",
    "look",
    "look_anew",
    "notes",
    "remove_note",
    "remove_view",
    "rename_view",
    "save_view",
    "store_of",
    "views",
    "write_note",
]
