"""One search: its settings, its state machine, the drivers that run it in threads or tasks, and its result.

`settings` has the keyword arguments of every entry point, `search` the state machine without input or output, `drivers`
the two loops that run it, `executor` how one job is tried, `worker` how it is done, `sampler` how candidates are drawn,
`tracing` what callbacks report, and `result` the whole record.
"""
