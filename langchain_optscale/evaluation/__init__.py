"""What a search would have saved: recorded candidates, replayed through the same session as in production.

Its modules: `pools` (recorded candidates), `description` (a pool in figures), `importers` (pools from the logs of
other programs), `recording` (pools from live endpoints), `baselines`, `frontier` and `plots`; import from them.
`replay` is the function itself, `replay(pool, methods)`. All of them but `recording` work without LangChain.
"""

from langchain_optscale.evaluation.replay import replay

__all__ = ["replay"]
