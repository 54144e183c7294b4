"""Results: summaries, and files that are whole or not there."""

import os
import pickle
from copy import deepcopy

import numpy as np
import pytest
from cases import SKEW, TINY

import collapse as c


@pytest.fixture
def result():
    return c.simulate(c.Categorical(), SKEW, TINY["weighted"], replications=20, rng=2**100)


def test_summaries(result):
    values = result.values["l2"]
    np.testing.assert_allclose(result.mean["l2"], values.mean(axis=1))
    np.testing.assert_allclose(result.standard_error["l2"], values.std(axis=1, ddof=1) / 20**0.5)
    assert result.quantile(0.5)["l2"].shape == (3,)
    np.testing.assert_array_equal(result.quantile([0, 1])["l2"][1], values.max(axis=1))
    one = c.simulate(c.Categorical(), SKEW, TINY["replace"], replications=1, rng=1)
    with pytest.raises(ValueError, match="at least 2 replications, found 1"):
        _ = one.standard_error
    with pytest.raises(ValueError, match="read-only"):
        values[0, 0] = 1


@pytest.mark.parametrize("name", TINY)
def test_round_trip(tmp_path, name):
    result = c.simulate(c.Categorical(), SKEW, TINY[name], replications=3, rng=[1, 2])
    path = tmp_path / "any name"
    result.save(path)
    again = c.Result.load(path)
    assert repr(again) == repr(result) and repr(again.plan) == repr(result.plan)
    assert list(again.seed) == [1, 2]
    for field in ("n", "alpha", "gain", "real_weight"):
        np.testing.assert_array_equal(getattr(again.plan, field), getattr(result.plan, field))
    np.testing.assert_array_equal(again.values["l2"], result.values["l2"])
    assert os.listdir(tmp_path) == ["any name"]


def test_infinite_records_stay_infinite():
    plan = TINY["replace"]
    values = np.full((4, 3), 1.0)
    values[2, 1:] = np.inf
    result = c.Result(plan, {"kl": values})
    np.testing.assert_array_equal(result.mean["kl"], [1, 1, np.inf, 1])
    np.testing.assert_array_equal(result.standard_error["kl"], [0, 0, np.inf, 0])
    np.testing.assert_array_equal(result.quantile(0.5)["kl"], [1, 1, np.inf, 1])
    np.testing.assert_array_equal(result.quantile(0.0)["kl"], 1)


@pytest.mark.parametrize("copy", [deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_copies_are_read_only_too(result, copy):
    again = copy(result)
    assert repr(again) == repr(result)
    for array in (again.plan.n, again.plan.alpha, again.values["l2"], again.mean["l2"]):
        assert not array.flags.writeable
    with pytest.raises(TypeError):
        again.values["x"] = 1


@pytest.mark.parametrize("seed", [np.int64(3), [np.uint32(3), 1], np.array([1, 2])])
def test_numpy_seeds_are_saved(tmp_path, seed):
    result = c.simulate(c.Categorical(), SKEW, TINY["replace"], replications=2, rng=seed)
    result.save(tmp_path / "r.npz")
    again = c.Result.load(tmp_path / "r.npz")
    repeated = c.simulate(c.Categorical(), SKEW, again.plan, replications=2, rng=again.seed)
    np.testing.assert_array_equal(repeated.values["l2"], result.values["l2"])


def test_large_seed_survives(tmp_path, result):
    result.save(tmp_path / "r.npz")
    assert c.Result.load(tmp_path / "r.npz").seed == 2**100


def test_a_failed_save_leaves_the_old_file(tmp_path, result, monkeypatch):
    path = tmp_path / "r.npz"
    result.save(path)
    before = path.read_bytes()

    def full(*args, **kwargs):
        raise OSError("No space left on device")

    monkeypatch.setattr(np, "savez_compressed", full)
    with pytest.raises(OSError, match="No space left"):
        result.save(path)
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["r.npz"]


def test_truncated_and_foreign_files_are_named(tmp_path, result):
    path = tmp_path / "r.npz"
    result.save(path)
    whole = path.read_bytes()
    for size in (0, 1, 10, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(ValueError, match=r"cannot load a Result from '.*r.npz'"):
            c.Result.load(path)
    for spot in range(0, len(whole), 7):  # a flipped byte is seen or harmless
        broken = bytearray(whole)
        broken[spot] ^= 0xFF
        path.write_bytes(broken)
        try:
            again = c.Result.load(path)
        except ValueError as error:
            assert "r.npz" in str(error)
        else:
            np.testing.assert_array_equal(again.values["l2"], result.values["l2"])
    np.savez(path, x=np.arange(3))
    with pytest.raises(ValueError, match=r"does not say that its format is 'collapse.Result 1'"):
        c.Result.load(path)
    np.save(tmp_path / "x.npy", np.arange(3))
    with pytest.raises(ValueError, match=r"is not a whole .npz archive"):
        c.Result.load(tmp_path / "x.npy")
    with open(tmp_path / "pickle.npz", "wb") as file:
        np.savez(file, head=np.array([{"format": "x"}], dtype=object))
    with pytest.raises(ValueError, match="pickle"):
        c.Result.load(tmp_path / "pickle.npz")
    with pytest.raises(FileNotFoundError):
        c.Result.load(tmp_path / "nowhere")
