"""Benchmarks: each module prints its figures as JSON; `make bench` runs them all."""
