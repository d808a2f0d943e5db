"""Benchmarks: this project beside its alternatives, in the same run, as ratios. `make bench` runs them all."""
