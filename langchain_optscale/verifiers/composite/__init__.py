"""Verifiers made of other verifiers: weighted, in order, cached, calibrated."""
