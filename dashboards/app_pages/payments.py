"""Payments: whether they succeed and at which try, why they fail, and what is left of them."""

from dashboards.opening import show
from dashboards.sections import Agreement, Chosen, DeclineCodes, DunningCurve, PaymentOutcomes, Row, Stacks, Tiles
from tailtracker_bi.figures import charts

RATES = ("payment_success_rate", "first_attempt_success_rate", "attempt_success_rate", "recovery_rate")
IN_AND_OUT = {
    "gross_volume": ("Gross volume", charts.BLUE),
    "refunds": ("Refunds", charts.PURPLE),
    "disputes": ("Disputes", charts.VERMILION),
    "fees": ("Fees", charts.BROWN),
}
OTHERS = (
    *("gross_volume", "payments", "net_volume", "refunds", "disputes", "fees", "effective_fee_rate", "refund_rate"),
    "dispute_rate",
)

show(
    "Payments",
    "Whether payments succeed and at which try, why they fail, and what is left of them.",
    Tiles("payments", "payment_success_rate", "gross_volume", "net_volume"),
    Row(Chosen(RATES, "Success rate", key="rate"), PaymentOutcomes()),
    Row(DunningCurve(), DeclineCodes()),
    Row(
        Stacks(
            "What came in and what went out",
            IN_AND_OUT,
            below=["refunds", "disputes", "fees"],
            net="net_volume",
            note="Each on its own date: a refund counts on the day it was paid back. A won dispute comes back.",
        ),
        Chosen(OTHERS, "Another metric"),
    ),
    Agreement(["payments"]),
    needs=["payment_outcomes", "dunning_curve", "reconciliation"],
)
