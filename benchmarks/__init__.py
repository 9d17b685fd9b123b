"""Measurements that claims rest on; nothing here is a test."""
