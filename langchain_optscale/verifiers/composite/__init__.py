"""Verifiers made of other verifiers."""
