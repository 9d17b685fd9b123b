"""A folder, or a place in an object store, as fsspec names it."""

from __future__ import annotations

from tailtracker_bi.errors import SettingsError


def put(place: str, name: str, content: bytes) -> str:
    """Write a file there, whole or not at all, and say where it is. Raises SettingsError, OSError."""
    from fsspec.core import url_to_fs  # type: ignore[import-untyped]

    try:
        store, folder = url_to_fs(place)
    except (ImportError, ValueError) as error:
        raise SettingsError(f"nothing can be put into {place.partition('://')[0]}://: {error}") from None
    store.makedirs(folder, exist_ok=True)
    # An object store shows a file once it is whole; a folder does by its name.
    with store.transaction:
        store.pipe_file(f"{folder}/{name}", content)
    return f"{place.rstrip('/')}/{name}"
