"""What public functions ask of arguments: errors name the argument, the value, the want."""

import reprlib

import numpy as np

PROBABILITY_TOLERANCE = 1e-9
LARGEST_WHOLE = 2**53  # above it a float64 cannot hold every whole number


def real_array(name, value, *, finite=True):
    """`value` as a new float64 array of real numbers, finite unless told, or an error."""
    array = _numbers(name, value, finite).astype(np.float64) + 0.0  # + 0.0: no negative zero
    if finite and not np.isfinite(array).all():  # a longer float than float64
        raise ValueError(f"{name} must be finite, found {short(value)}")
    return array


def _numbers(name, value, finite=True):
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(f"{name} must be real numbers without a mask, found {short(value)}")
    try:
        array = np.asarray(value)
    except ValueError:  # ragged nested lists
        found = short(value)
        raise ValueError(f"{name} must be an array of numbers, found ragged {found}") from None
    if array.dtype.kind == "O" and all(type(x) is int for x in array.flat):
        if any(abs(x) >= 2**63 for x in array.flat):
            raise ValueError(f"{name} must be numbers below 2**63, found {short(value)}")
        array = array.astype(np.int64)
    if array.dtype == np.float16:  # too short to be compared with 2**53
        array = array.astype(np.float64)
    mixed = isinstance(value, (list, tuple)) and any(
        isinstance(x, (bool, np.bool_)) for x in np.asarray(value, dtype=object).flat
    )
    if array.dtype.kind not in "iuf" or mixed:
        raise TypeError(f"{name} must be real numbers, found {short(value)} of type {array.dtype}")
    if finite and not np.isfinite(array).all():
        bad = array.ravel()[~np.isfinite(array.ravel())][0]
        raise ValueError(f"{name} must be finite, found {bad}")
    return array


def short(value):
    """`value` as a message shows it."""
    return reprlib.repr(value)


def whole(name, value, *, least=1):
    """One whole number, at least `least`, as an int. 1e6 is whole; True, 10.5, inf are not."""
    try:
        array = _numbers(name, value)
    except TypeError as error:
        raise TypeError(str(error).replace("real numbers", "a whole number")) from None
    if array.ndim:
        raise ValueError(f"{name} must be one whole number, found an array of shape {array.shape}")
    if array != np.rint(array) or not least <= array <= LARGEST_WHOLE:
        raise ValueError(
            f"{name} must be a whole number of at least {least} and at most 2**53, found {array}"
        )
    return int(array)


def whole_array(name, value, *, least=1):
    """An int64 array of whole numbers in [least, 2**53]."""
    array = _numbers(name, value)
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
        raise ValueError(f"{name} must have exactly {ndim} axis, found shape {array.shape}")
    if array.size and array.min() < 0:
        raise ValueError(f"{name} must be nonnegative, found {array.min()}")
    total = array.sum(axis=-1)
    wrong = abs(total - 1) > PROBABILITY_TOLERANCE
    if wrong.any():
        raise ValueError(
            f"{name} must sum to 1 within {PROBABILITY_TOLERANCE:g} over the last axis, "
            f"found a sum of {float(np.atleast_1d(total)[np.atleast_1d(wrong)][0])!r}: divide by "
            "the sum, taken in float64 (p = np.asarray(p, float); p / p.sum())"
        )
    return np.minimum(array, 1.0)  # a point mass may be above 1 by rounding


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
    if isinstance(rng, np.random.SeedSequence):  # a copy: spawning would change the caller's
        rng = np.random.SeedSequence(rng.entropy, spawn_key=rng.spawn_key, pool_size=rng.pool_size)
    try:
        made = np.random.default_rng(rng)
    except (TypeError, ValueError) as error:
        raise type(error)(
            f"rng must be None, a seed (a whole number, at least 0) or a numpy.random.Generator, "
            f"found {rng!r}"
        ) from None
    if not hasattr(made.bit_generator.seed_seq, "spawn"):
        raise TypeError(f"rng must have a SeedSequence that can spawn, found {rng!r}")
    return made


def broadcast(**arrays):
    """The arrays, of one shape, or an error that names them."""
    try:
        return np.broadcast_arrays(*arrays.values())
    except ValueError:
        shapes = " and ".join(str(array.shape) for array in arrays.values())
        raise ValueError(f"{' and '.join(arrays)} must broadcast, found shapes {shapes}") from None
