"""Captures in, HTTP exchanges out: a pipeline of pure stages (replay/pipeline.py is the map of the house)."""
