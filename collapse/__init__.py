"""Models trained on data that earlier models wrote: exact theory and simulation.

    schedule -> Plan -> simulate -> Result -> plot
                   \\--> exact ---> (T+1,) -/

A schedule says how many samples each generation draws and how much of them is real; a scheme
function such as `mixture` resolves schedules into a `Plan`; `simulate` runs the plan, `exact`
computes what it must give.
"""

from collapse import asymptotics, bounds, design, exact, metrics, targets, writers
from collapse.engine import iterate, simulate
from collapse.models import (
    Bernoulli,
    Binomial,
    Categorical,
    Exponential,
    ExponentialFamily,
    Gamma,
    Gaussian,
    GaussianMixture,
    Geometric,
    KernelDensity,
    LinearRegression,
    LogisticRegression,
    NegativeBinomial,
    NextToken,
    Poisson,
)
from collapse.plans import (
    Plan,
    accumulate,
    anchored,
    augmented,
    aware,
    filtered,
    finetuned,
    mixture,
    replace,
    several,
    subsampled,
    weighted,
    window,
)
from collapse.result import Result
from collapse.schedules import geometric, power


def __getattr__(name):  # imported when asked for: `python -m collapse.recover` runs it afresh
    if name == "recover":
        from importlib import import_module

        return import_module("collapse.recover")
    raise AttributeError(f"module 'collapse' has no attribute {name!r}")


__version__ = "0.1.0"

__all__ = [
    "Bernoulli",
    "Binomial",
    "Categorical",
    "Exponential",
    "ExponentialFamily",
    "Gamma",
    "Gaussian",
    "GaussianMixture",
    "Geometric",
    "KernelDensity",
    "LinearRegression",
    "LogisticRegression",
    "NegativeBinomial",
    "NextToken",
    "Plan",
    "Poisson",
    "Result",
    "accumulate",
    "anchored",
    "asymptotics",
    "augmented",
    "aware",
    "bounds",
    "design",
    "exact",
    "filtered",
    "finetuned",
    "geometric",
    "iterate",
    "metrics",
    "mixture",
    "power",
    "recover",
    "replace",
    "several",
    "simulate",
    "subsampled",
    "targets",
    "weighted",
    "window",
    "writers",
]
