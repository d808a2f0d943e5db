"""Exchanges in, one output format per module (replay/output/formats.py is the table of them)."""
