"""Where reports go, and that each goes there once: by mail, to Slack, to any channel that apprise knows, to a folder;
alerts to PagerDuty and to a signed webhook, too, and exports to a folder.

What belongs here: when a report is due, what of it was sent to whom, and how each channel takes it. What does not: what
a report says, which is `reports/`, and asking again and again what is due, which Dagster's sensor or a cron job does.
"""

from tailtracker_bi.delivery.alerting import told_anew, untold
from tailtracker_bi.delivery.channels import channels_of, mail_to
from tailtracker_bi.delivery.exporting import export_due
from tailtracker_bi.delivery.incidents import alert_channels
from tailtracker_bi.delivery.ledger import Ledger
from tailtracker_bi.delivery.schedule import due
from tailtracker_bi.delivery.sending import send_due, send_now, tell_owner, watch

__all__ = [
    "Ledger", "alert_channels", "channels_of", "due", "export_due", "mail_to", "send_due", "send_now", "tell_owner",
    "told_anew", "untold", "watch",
]  # fmt: skip
