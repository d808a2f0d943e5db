"""Exchanges counted: totals, rates, latencies and sizes, by endpoint, status, process and connection."""
