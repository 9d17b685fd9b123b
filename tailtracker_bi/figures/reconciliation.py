"""What two sources say about the same thing, with the names of the metrics that it is about."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from tailtracker_bi.figures.catalogue import Metric


def titled(found: pd.DataFrame, known: Mapping[str, Metric]) -> pd.DataFrame:
    """The rows of `reconciliation`, newest first, each with a title, the form of its values, a metric and its domain.

    They are about the metric that `what` begins with; where it begins with none, the domain is empty.
    """
    about = found["what"].astype(str).str.extract(r"^(\w+)", expand=False)
    titles = [
        str(what).replace(name, known[name].label, 1) if name in known else str(what)
        for what, name in zip(found["what"], about, strict=True)
    ]
    forms = [
        f"money {currency}" if isinstance(currency, str) and currency else "integer" for currency in found["currency"]
    ]
    dated = found.assign(
        metric_id=about.where(about.isin(list(known))),
        period_start=pd.to_datetime(found["period_start"]),
        domain=about.map(lambda name: known[name].domain if name in known else ""),
        form=forms,
        title=titles,
    )
    return dated.sort_values(["period_start", "what"], ascending=[False, True]).reset_index(drop=True)
