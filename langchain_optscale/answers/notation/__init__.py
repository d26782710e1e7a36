"""Notation: how answers are written, and one canonical form for each.

`spelling` and `plain` normalise text; `splitting`, `matrices`, `relations` and `quantity` take it apart; `reading`
makes `nodes` of the parts, and `solutions` those of statements about unknowns. `algebra` compares canonical forms with
SymPy, in a child process only. `choices` finds the letters of options in text.
"""
