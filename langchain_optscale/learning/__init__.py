"""What searches leave behind, and what the next one learns from it.

`rows` has the record of one search in figures, `store` keeps such rows in a file or a database. The engine above writes
them; nothing here knows the engine, so that settings can hold a store and what was learned from it.
"""
