"""Judges that compare candidates, and the choice of the best of several by comparison."""
