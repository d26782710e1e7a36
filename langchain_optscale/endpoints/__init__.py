"""Model servers: the embedded local model, vLLM, and the doctor that checks them."""
