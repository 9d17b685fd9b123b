"""Delivery of reports."""
