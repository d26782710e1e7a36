"""LangChain's own unit suite, unmodified, with OpenAI's integration as the policy."""

from typing import Any

from langchain_openai import ChatOpenAI
from langchain_tests.unit_tests import ChatModelUnitTests

from langchain_optscale import ChatOptScale
from langchain_optscale.stopping import MaxSamples, TargetReached
from langchain_optscale.verifiers import LengthCheck


class TestChatOptScale(ChatModelUnitTests):
    @property
    def chat_model_class(self) -> type[ChatOptScale]:
        return ChatOptScale

    @property
    def standard_chat_model_params(self) -> dict[str, Any]:
        # A key belongs to the model that is called, which has it already; there is none of ours.
        return {name: value for name, value in super().standard_chat_model_params.items() if name != "api_key"}

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {
            "policy": ChatOpenAI(model="scripted-1", api_key="test"),
            "verifier": LengthCheck(at_most=3, unit="sentences"),
            "stopping": TargetReached(1.0) | MaxSamples(4),
            # The suite's own temperature is 0, at which all candidates would be the same.
            "temperature": 0.8,
        }

    @property
    def init_from_env_params(self) -> tuple[dict[str, str], dict[str, Any], dict[str, Any]]:
        environment = {"LC_OUTPUT_VERSION": "v1", "OPENAI_API_KEY": "test"}
        return environment, self.chat_model_params, {"output_version": "v1"}
