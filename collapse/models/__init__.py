"""Models: what a generation is. Each has three methods with a leading replication axis R.

``sample(theta, n, rng) -> data``
    n (R,) whole numbers, zero allowed.
``pool(a, b, share) -> data``
    b carries the weight `share` (a number or (R,)), a the rest; an empty side has no weight.
``fit(data, previous=None) -> theta``
    Without samples the previous model stays.

Data have an attribute ``size`` (R,), their effective number of samples. theta is an array or a
named tuple of arrays. Only the model looks inside theta and at the rest of the data. A model that
takes parameters as its target checks them in ``parameters(target) -> theta`` of one replication,
and names in ``default_record(target)`` what `simulate` records. Real samples are drawn by `sample`
of the class that defines `parameters`: a subclass that writes in another way (a temperature, say)
overrides `sample`, and its real data stay the target's. Optional:

``sample_mixture(theta, target, alpha, n, rng)``
    A faster draw of an unlabelled mixture with the same law; not used where `sample` is overridden.
``collect(x, n) -> data``
    The data of the first n (R,) of N samples x (R, N, d): for a target of `targets.rows`.
``for_rows(x) -> model or None``
    The model to write beside real rows x (m, d), where it is another: a regression takes its
    covariates from them.
``split(theta, n_real, n, rng) -> (model, model) or None``
    Models to draw the n_real (R,) real samples and the rest of n, where they share something: the
    rows of a design.
``source(target)``
    Something with ``sample(n, rng)``, where drawing from a target is not the model's `sample`.
``empirical(data)``
    Parameters from which drawing is drawing from the data with replacement, for `anchored`.
``subsample(data, n, rng) -> data``
    n of the data drawn without replacement, for `subsampled`.
``stores_samples = True``
    The data are the samples themselves, not their statistics: fewer replications at once.
"""

from collapse.models.categorical import Categorical
from collapse.models.density import KernelDensity
from collapse.models.families import (
    Bernoulli,
    Binomial,
    Exponential,
    ExponentialFamily,
    Gamma,
    Geometric,
    NegativeBinomial,
    Poisson,
)
from collapse.models.gaussian import Gaussian
from collapse.models.gmm import GaussianMixture
from collapse.models.next_token import NextToken
from collapse.models.regression import LinearRegression, LogisticRegression

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
    "Poisson",
]
