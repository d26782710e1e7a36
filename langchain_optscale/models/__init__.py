"""What stands behind a chat model: the policy, HTTP clients, token usage, limits, retries, cancellation."""
