"""Lines of an export, as tests write them."""

from __future__ import annotations

import json
from typing import Any


def event_line(event: str, at: float | str | None, distinct_id: str | None = "u1", **properties: Any) -> bytes:
    """One line of an export; a distinct_id of None is left out; a keyword `_x` becomes the property `$x`."""
    own = {f"${name[1:]}" if name.startswith("_") else name: value for name, value in properties.items()}
    who = {} if distinct_id is None else {"distinct_id": distinct_id}
    return json.dumps({"event": event, "properties": {"time": at, **who, **own}}, ensure_ascii=False).encode()
