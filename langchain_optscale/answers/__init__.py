"""Answers: how probable it is that each answer seen so far is right, and learning the law behind it."""

from langchain_optscale.answers.model import CALIBRATED_SCORES, DEFAULT, AnswerModel

__all__ = ["CALIBRATED_SCORES", "DEFAULT", "AnswerModel"]
