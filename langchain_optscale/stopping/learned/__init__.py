"""The stopping time learned from recorded candidates: fitting, the rule and its file."""
