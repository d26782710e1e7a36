"""The error of an answer that was refused; apart from the others, which can be read without LangChain."""

from __future__ import annotations

from langchain_core.exceptions import ModelRefusalError

from langchain_optscale.errors import OptScaleError

__all__ = ["RefusedCandidateError"]


class RefusedCandidateError(OptScaleError, ModelRefusalError):
    """The policy refused to answer, or a content filter stopped its answer; an error of langchain-core's kind too."""
