"""What a search would have saved: recorded candidates, replayed through the same session as in production.

Its modules: `pools` (recorded candidates), `description` (a pool in figures), `importers` (pools from the logs of
other programs), `recording` (pools from live endpoints), `replay`, `baselines` and `plots`. Import from the module:
all of them but `recording` work without LangChain.
"""
