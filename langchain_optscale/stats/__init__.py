"""The statistics of scores: their law, the law of the best of N, and estimates of both.

Pure NumPy and SciPy. The truncated normal itself is the module `truncnorm`, used as `truncnorm.logcdf(...)`.
"""

from langchain_optscale.stats import truncnorm
from langchain_optscale.stats._evidence import infer_steps
from langchain_optscale.stats.best_of_n import (
    expected_best,
    expected_gain,
    optimal_n,
    probability_of_reaching,
)
from langchain_optscale.stats.calibration import (
    Calibration,
    IsotonicCalibration,
    LogisticCalibration,
    expected_calibration_error,
    reliability_table,
)
from langchain_optscale.stats.empirical_prior import EmpiricalPrior
from langchain_optscale.stats.estimation import (
    Estimator,
    MaximumAPosteriori,
    MaximumLikelihood,
    ScorePrior,
    Scores,
    ScoreSums,
)
from langchain_optscale.stats.posterior import Posterior, PosteriorEstimate

__all__ = [
    "Calibration",
    "EmpiricalPrior",
    "Estimator",
    "IsotonicCalibration",
    "LogisticCalibration",
    "MaximumAPosteriori",
    "MaximumLikelihood",
    "Posterior",
    "PosteriorEstimate",
    "ScorePrior",
    "ScoreSums",
    "Scores",
    "expected_best",
    "expected_calibration_error",
    "expected_gain",
    "infer_steps",
    "optimal_n",
    "probability_of_reaching",
    "reliability_table",
    "truncnorm",
]
