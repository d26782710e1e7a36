"""LangChain's own integration suite, unmodified: OpenAI's integration as the policy, above two servers.

One server is scripted and can do everything that the suite asks for; the other one serves the embedded model, which
has 135 million parameters and can do less. What the suite would fetch from the web comes from here instead.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import httpx
import pytest
from langchain_core.messages import HumanMessage
from langchain_openai import ChatOpenAI
from langchain_tests.integration_tests import ChatModelIntegrationTests

from langchain_optscale import ChatOptScale
from tests.integration_tests.openai_server import openai_server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import AIMessage

    from langchain_optscale.endpoints.local import LocalServer
    from tests.integration_tests.openai_server import Service

# The smallest PNG there is; no server here looks inside.
_BYTES = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with openai_server() as running:
        yield running


@pytest.fixture(scope="module")
def vcr_cassette_dir(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tmp_path_factory.mktemp("cassettes"))


@pytest.fixture(scope="module")
def vcr_config() -> dict[str, Any]:
    return {"record_mode": "all"}


def is_wordy(prompt: object, candidate: Any) -> float:
    return 1.0 if len(candidate.text) > 3 else 0.0


class _Suite(ChatModelIntegrationTests):
    pytestmark = [  # noqa: RUF012
        # The suite uses what LangChain calls a beta, and BaseModel V1, about which langchain-openai warns.
        pytest.mark.filterwarnings("ignore::langchain_core._api.beta_decorator.LangChainBetaWarning"),
        pytest.mark.filterwarnings("ignore:Received a Pydantic BaseModel V1 schema"),
        pytest.mark.filterwarnings("ignore:LANGCHAIN_TESTS_USER_AGENT"),
        pytest.mark.filterwarnings("ignore:OpenAI may require a filename"),
        pytest.mark.filterwarnings("ignore:Benchmark fixture was not used"),
    ]
    base_url = ""
    enable_vcr_tests = True

    @pytest.fixture(autouse=True)
    def _without_the_web(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(httpx, "get", lambda url, **_: httpx.Response(200, content=_BYTES))

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatOptScale

    @property
    def policy(self) -> ChatOpenAI:
        return ChatOpenAI(model="scripted-1", base_url=self.base_url, api_key="test")

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"policy": self.policy, "verifier": is_wordy, "max_samples": 4}

    @property
    def supports_json_mode(self) -> bool:
        return True

    @property
    def model_override_value(self) -> str:
        return "scripted-2"


class _Scripted(_Suite):
    @pytest.fixture(autouse=True)
    def _served(self, service: Service) -> None:
        type(self).base_url = service.base_url

    supports_image_inputs = True
    supports_image_urls = True
    supports_pdf_inputs = True
    supports_audio_inputs = True
    supports_image_tool_message = True
    supports_pdf_tool_message = True
    supports_anthropic_inputs = True
    supports_video_inputs = True

    @property
    def supported_usage_metadata_details(self) -> dict[str, list[str]]:
        kinds = ["audio_input", "reasoning_output", "cache_read_input", "cache_creation_input"]
        return {"invoke": kinds, "stream": kinds}

    def _told(self, question: Any, *, stream: bool, **kwargs: Any) -> AIMessage:
        model = self.chat_model_class(**self.standard_chat_model_params | self.chat_model_params)
        if not stream:
            return model.invoke(question, **kwargs)
        first, *rest = model.stream(question, **kwargs)
        return sum(rest, first)

    def invoke_with_audio_input(self, *, stream: bool = False) -> AIMessage:
        audio = {"type": "audio", "base64": base64.b64encode(_BYTES).decode(), "mime_type": "audio/wav"}
        message = self._told([HumanMessage([audio])], stream=stream)
        assert message.usage_metadata["input_token_details"]["audio"] > 0
        return message

    def invoke_with_reasoning_output(self, *, stream: bool = False) -> AIMessage:
        message = self._told("Think.", stream=stream, reasoning_effort="low")
        drawn = message.response_metadata["optscale"]["drawn"]
        assert message.usage_metadata["output_token_details"]["reasoning"] == 7 * drawn
        return message

    def invoke_with_cache_read_input(self, *, stream: bool = False) -> AIMessage:
        self._told("Once more.", stream=stream)
        message = self._told("Once more.", stream=stream)
        assert message.usage_metadata["input_token_details"]["cache_read"] > 0
        return message

    def invoke_with_cache_creation_input(self, *, stream: bool = False) -> AIMessage:
        message = self._told(f"For the first time: {uuid4()}", stream=stream)
        assert message.usage_metadata["input_token_details"]["cache_creation"] > 0
        return message


class TestOneRequestARound(_Scripted):
    """A round is one request with several choices; structure comes by a JSON schema."""


class TestOneRequestACandidate(_Scripted):
    """Every candidate is a request; structure comes by function calling, and the first candidate is good enough."""

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {**super().chat_model_params, "first_round": 1, "fanout": "calls"}

    @property
    def structured_output_kwargs(self) -> dict[str, Any]:
        return {"method": "function_calling"}


class TestLocalModel(_Suite):
    """The embedded model. What it is too small for is switched off: its chat template knows no tools, and a good third
    of its structured answers run on until they are cut off, while the suite allows the search one request only; see
    `test_structured_output` for how a search gets there with more. Its texts are cut off after 24 tokens and
    scored as they are.
    """

    has_tool_calling = False
    has_tool_choice = False
    has_structured_output = False
    supports_json_mode = False

    @pytest.fixture(autouse=True)
    def _served(self, local_server: LocalServer) -> None:
        type(self).server = local_server

    server: LocalServer

    @property
    def policy(self) -> ChatOpenAI:
        return self.server.policy(max_tokens=24)

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {**super().chat_model_params, "accept_truncated": True}
