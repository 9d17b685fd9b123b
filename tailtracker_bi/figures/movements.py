"""What moved MRR, by week: the published table has days and months.

Pure: rows of `mrr_movements` in, rows out.
"""

from __future__ import annotations

import pandas as pd

DECIMALS = 6
"""Of an amount, as it is published."""


def by_week(days: pd.DataFrame) -> pd.DataFrame:
    """All rows of the grain `day` as rows of weeks, which begin on Monday, with the same columns.

    Opening is that of a week's first day and closing that of its last one. Movements are added up; one that holds an
    unknown amount is unknown. A week is complete when its seven days are there and complete.
    """
    day = pd.to_datetime(days["period_start"])
    rows = days.assign(day=day, grain="week", period_start=day - pd.to_timedelta(day.dt.day_of_week, unit="D"))
    week = rows.groupby("period_start")["day"]
    is_first, is_last = day.eq(week.transform("min")), day.eq(week.transform("max"))
    is_inside = ~(rows["movement"].eq("opening") & ~is_first | rows["movement"].eq("closing") & ~is_last)
    # Exchange rates move the customers that there are at the end.
    rows["customers"] = rows["customers"].mask(rows["movement"].eq("fx") & ~is_last, 0)
    own = ["period_start", "currency", "segment", "segment_value"]
    summed = rows[is_inside].groupby([*own, "movement", "grain"], as_index=False)
    found = summed.agg(customers=("customers", "sum"), amount=("amount", lambda amounts: amounts.sum(skipna=False)))
    # A part has no row on a day without customers: what says whether such a day is complete are everyone's rows.
    everyone = rows[rows["segment"].eq("all")].groupby(own[:2])
    is_whole = everyone["is_complete"].all() & everyone["day"].nunique().eq(7)
    found = found.join(is_whole.rename("is_whole"), on=own[:2])
    found = found.join(rows.groupby(own)["is_complete"].all(), on=own)
    found = found.assign(amount=found["amount"].round(DECIMALS), is_complete=found["is_complete"] & found["is_whole"])
    return found[list(days.columns)]
