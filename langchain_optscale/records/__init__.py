"""The records of a search: candidates, verdicts, failures, estimates, decisions, usage, tool calls.

`candidates` and `decisions` have the frozen dataclasses, `usage` what was consumed, `tool_calls` how a call is written
and compared, `failures` how an error becomes part of the record.
"""
