"""Model servers: the embedded local model, vLLM, and the doctor that examines them."""
