"""Reward models served over HTTP: requests, replies, and scores in [0, 1]."""
