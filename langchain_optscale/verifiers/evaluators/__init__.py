"""Evaluators of other packages as verifiers, without an import of the packages.

`verifier` has the class; `known` says which evaluators are recognised, and each module beside it how one kind is
called. `results` reads what they return.
"""
