"""A chat model as the judge: its prompt, its calls, and how its reply is read."""
