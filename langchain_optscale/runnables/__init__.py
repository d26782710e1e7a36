"""The entry points that are LangChain runnables: `OptScale`, `ChatOptScale`, batches and structured output."""
