"""Models: what a generation is. Each has three methods with a leading replication axis R.

``sample(theta, n, rng) -> data``
    n (R,) whole numbers, zero allowed.
``pool(a, b, share) -> data``
    b carries the weight `share` (a number or (R,)), a the rest; an empty side has no weight.
``fit(data, previous=None) -> theta``
    Without samples the previous model stays.

Data have an attribute ``size`` (R,), their effective number of samples. Only the model looks inside
theta and at the rest of the data. A model that takes an array of parameters as its target
checks it in ``parameters(target) -> theta`` of one replication, and names in
``default_record(target)`` what `simulate` records. Optional: ``sample_mixture(theta, target, alpha,
n, rng)``, a faster draw of an unlabelled mixture with the same law; ``empirical(data)``, the
parameters from which drawing is drawing from the data with replacement (`anchored` needs it); and
``subsample(data, n, rng) -> data``, n of the data drawn without replacement (for `subsampled`).
"""

from collapse.models.categorical import Categorical

__all__ = ["Categorical"]
