"""Policy and verifier on your own vLLM servers, one or many of each.

    from langchain_optscale import ChatOptScale
    from langchain_optscale.endpoints.vllm import vllm_policy, vllm_verifier

    model = ChatOptScale(
        policy=vllm_policy("http://localhost:8000/v1"),
        verifier=vllm_verifier("http://localhost:8001/v1"),
    )

`docs/gpu.md` has the commands that serve them; `optscale doctor` checks the servers.
"""

from __future__ import annotations

from langchain_optscale.endpoints.vllm.discovery import Served, Task, discover
from langchain_optscale.endpoints.vllm.policy import vllm_policy
from langchain_optscale.endpoints.vllm.replicas import Replicas, ReplicaState
from langchain_optscale.endpoints.vllm.verifier import Kind, vllm_verifier

__all__ = ["Kind", "ReplicaState", "Replicas", "Served", "Task", "discover", "vllm_policy", "vllm_verifier"]
