"""Pools from the logs of other programs: lm-evaluation-harness and Inspect.

Both judge a candidate by named values: metrics there, scorers here. Which of them becomes what follows one rule. A
value that says only yes or no (true and false, 1 and 0, Inspect's "C", "P", "I" and "N", of which "C" alone is right)
can be `correct`; any other number can be the `score`, or the `logit` where the log has values of it outside [0, 1].
What is found once is taken; what is found several times must be chosen by name.
"""

from langchain_optscale.evaluation.importers.inspect import from_inspect
from langchain_optscale.evaluation.importers.lm_eval import from_lm_eval

__all__ = ["from_inspect", "from_lm_eval"]
