"""What public functions ask of arguments: errors name the argument, the value, the want."""

import numpy as np

PROBABILITY_TOLERANCE = 1e-9
LARGEST_WHOLE = 2**53  # above it a float64 cannot hold every whole number


def real_array(name, value):
    """`value` as a new float64 array of finite numbers, or an error."""
    try:
        array = np.asarray(value)
    except ValueError as error:  # ragged nested lists
        raise ValueError(f"{name} must be an array of numbers; {error}") from None
    if array.dtype.kind not in "iuf":
        raise TypeError(f"{name} must be real numbers, found {value!r} of type {array.dtype}")
    array = array.astype(np.float64)
    if not np.isfinite(array).all():
        bad = array.ravel()[~np.isfinite(array.ravel())][0]
        raise ValueError(f"{name} must be finite, found {bad}")
    return array


def whole(name, value, *, least=1):
    """One whole number, at least `least`, as an int. 1e6 is whole; True, 10.5, inf are not."""
    array = whole_array(name, value, least=least)
    if array.ndim:
        raise ValueError(f"{name} must be one whole number, found an array of shape {array.shape}")
    return int(array)


def whole_array(name, value, *, least=1):
    """An int64 array of whole numbers in [least, 2**53]."""
    array = real_array(name, value)
    wrong = (array != np.rint(array)) | (array < least) | (array > LARGEST_WHOLE)
    if wrong.any():
        found = array[wrong].ravel()[0]
        raise ValueError(
            f"{name} must be whole numbers of at least {least} and at most 2**53, found {found}"
        )
    return array.astype(np.int64)


def fraction(name, value):
    """A float64 array with every value in [0, 1]."""
    array = real_array(name, value)
    wrong = (array < 0) | (array > 1)
    if wrong.any():
        raise ValueError(f"{name} must lie in [0, 1], found {array[wrong].ravel()[0]}")
    return array


def number(name, value, *, least=-np.inf, above=None):
    """One finite number, as a float."""
    array = real_array(name, value)
    if array.ndim:
        raise ValueError(f"{name} must be one number, found an array of shape {array.shape}")
    if array < least or (above is not None and array <= above):
        want = f"above {above}" if above is not None else f"at least {least}"
        raise ValueError(f"{name} must be {want}, found {array}")
    return float(array)


def probabilities(name, value, *, ndim=None):
    """A float64 array whose last axis is a probability vector, sum 1 within 1e-9."""
    array = real_array(name, value)
    if array.ndim == 0 or array.shape[-1] == 0:
        raise ValueError(f"{name} must have tokens on its last axis, found shape {array.shape}")
    if ndim is not None and array.ndim != ndim:
        raise ValueError(f"{name} must have {ndim} axis, found shape {array.shape}")
    if array.size and array.min() < 0:
        raise ValueError(f"{name} must be nonnegative, found {array.min()}")
    total = array.sum(axis=-1)
    wrong = abs(total - 1) > PROBABILITY_TOLERANCE
    if wrong.any():
        raise ValueError(
            f"{name} must sum to 1 within {PROBABILITY_TOLERANCE:g} over the last axis, "
            f"found a sum of {np.atleast_1d(total)[np.atleast_1d(wrong)][0]!r}"
        )
    return array


def option(name, value, options):
    """`value`, one of the strings `options`."""
    if not isinstance(value, str):
        raise TypeError(f"{name} must be one of {options}, found {value!r}")
    if value not in options:
        raise ValueError(f"{name} must be one of {options}, found {value!r}")
    return value


def generator(rng):
    """A NumPy Generator from None, a seed, a SeedSequence, a BitGenerator or a Generator."""
    if isinstance(rng, (bool, np.bool_, np.random.RandomState)):
        raise TypeError(f"rng must be None, a seed or a numpy.random.Generator, found {rng!r}")
    try:
        return np.random.default_rng(rng)
    except (TypeError, ValueError) as error:
        raise type(error)(
            f"rng must be None, a seed (a whole number, at least 0) or a numpy.random.Generator, "
            f"found {rng!r}"
        ) from None
