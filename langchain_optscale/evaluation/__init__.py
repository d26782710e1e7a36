"""Replay of recorded candidates through the same session as in production.

A *pool* is a file of candidates that were drawn and scored once. Modules: `pools`, `description` (figures of a pool),
`importers` (pools from the logs of other programs), `recording` (pools from live endpoints), `baselines`, `frontier`
and `plots`; import from them. `replay(pool, methods)` is here. All but `recording` work without LangChain.
"""

from langchain_optscale.evaluation.replay import replay

__all__ = ["replay"]
