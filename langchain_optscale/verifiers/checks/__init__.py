"""Checks that need no model: text, numbers, JSON."""
