"""A chat model as the judge: prompt, calls and parsing of replies."""
