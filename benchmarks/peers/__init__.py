"""Peers as they are installed: their own code, our recorded candidates, one table.

`methods` says how each peer is called, `worker` runs one of them in a process of its own, `__main__` runs them all
against the pool server. `make bench_peers` makes the environment that they need.
"""
