"""Results: summaries, and files that are whole or not there."""

import io
import json
import os
import pickle
import signal
import stat
import subprocess
import sys
import zipfile
from contextlib import suppress
from copy import deepcopy

import numpy as np
import pytest
from cases import SKEW, TINY

import collapse as c
from collapse import result as module


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


COPIES = [deepcopy, lambda x: pickle.loads(pickle.dumps(x))]


@pytest.mark.parametrize("copy", COPIES)
@pytest.mark.parametrize("plan", TINY.values(), ids=TINY)
def test_copies_of_plans_are_the_same_loop(plan, copy):
    """Worker processes run copies."""
    again = copy(plan)
    assert [getattr(again, name) for name in ("real", "mixing", "subsample")] == [
        plan.real,
        plan.mixing,
        plan.subsample,
    ]
    for name in ("n", "alpha", "gain", "real_weight"):
        np.testing.assert_array_equal(getattr(again, name), getattr(plan, name))


@pytest.mark.parametrize("copy", COPIES)
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


# What is no file of ours


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_devices_and_pipes_are_left_alone(tmp_path, result):
    pipe, link = tmp_path / "pipe", tmp_path / "link"
    os.mkfifo(pipe)
    link.symlink_to(pipe)
    paths, device = [pipe, link], tmp_path / "device"
    if os.geteuid() == 0:  # who else could replace one? Of our own making: it may be lost
        with suppress(PermissionError):  # in a container it may not
            os.mknod(device, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
            paths.append(device)
    for path in paths:
        for use in (result.save, c.Result.load):  # a load would wait for ever
            with pytest.raises(OSError, match="path must name a file, found a device or pipe"):
                use(path)
    assert not any(path.is_file() for path in paths)
    for use in (result.save, c.Result.load):
        with pytest.raises(IsADirectoryError, match="path must name a file, found the folder"):
            use(tmp_path)


@pytest.mark.skipif(os.name != "posix", reason="modes of files")
def test_a_replaced_file_keeps_its_mode_and_a_new_one_gets_the_usual(tmp_path, result):
    usual = tmp_path / "usual"
    usual.touch()
    path = tmp_path / "r.npz"
    result.save(path)
    assert path.stat().st_mode == usual.stat().st_mode
    for mode in (0o600, 0o664, 0o444):
        path.chmod(mode)
        result.save(path)
        assert stat.S_IMODE(path.stat().st_mode) == mode


# Saves that are killed, and saves at the same time

KILLED = """
import os, signal, sys
import numpy as np
import collapse as c
def killed(file, **arrays):
    file.write(b"half")
    file.flush()
    if sys.argv[2] == "wait":
        print("writing", flush=True)
        sys.stdin.read()
    os.kill(os.getpid(), signal.SIGKILL)
np.savez_compressed = killed
c.Result(c.replace(10, 2), {"a": np.ones((3, 2))}).save(sys.argv[1])
"""
BUSY = """
import sys
import numpy as np
import collapse as c
who = int(sys.argv[2])
mine = c.Result(c.replace(10, 2), {"a": np.full((3, 50), float(who))})
for _ in range(40):
    mine.save(sys.argv[1])
    values = c.Result.load(sys.argv[1]).values["a"]
    assert (values == values[0, 0]).all()
"""
locks = pytest.mark.skipif(module.fcntl is None, reason="needs file locks")


@locks
def test_what_a_killed_save_left_goes_with_the_next_to_that_path(tmp_path, result):
    path, other = tmp_path / ("n" * 255), tmp_path / "other"
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", KILLED, path, "now"], check=False)
        assert done.returncode == -signal.SIGKILL
        assert len(os.listdir(tmp_path)) == 1  # the second removed what the first left
    result.save(other)
    assert len(os.listdir(tmp_path)) == 2  # not the next to another path
    result.save(path)
    assert sorted(os.listdir(tmp_path)) == sorted([path.name, "other"])


@locks
def test_a_save_that_is_still_writing_keeps_its_draft(tmp_path, result):
    path = tmp_path / "r.npz"
    command = [sys.executable, "-c", KILLED, path, "wait"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writing:
        writing.stdout.readline()
        result.save(path)
        assert len(os.listdir(tmp_path)) == 2
        writing.stdin.close()
    result.save(path)
    assert os.listdir(tmp_path) == ["r.npz"]


def test_two_processes_save_to_one_path(tmp_path):
    path = tmp_path / "r.npz"
    command = [sys.executable, "-c", BUSY, path]
    both = [subprocess.Popen([*command, str(who)], stderr=subprocess.PIPE) for who in (1, 2)]
    for process in both:
        _, wrong = process.communicate()
        assert process.returncode == 0, wrong.decode()
    assert c.Result.load(path).values["a"][0, 0] in (1, 2) and os.listdir(tmp_path) == ["r.npz"]


@locks
def test_a_draft_removed_before_it_was_locked_is_made_anew(tmp_path, result, monkeypatch):
    real, once = module.fcntl.flock, []

    def late(file, how):
        if not once:
            once.append(os.unlink(file.name))
        return real(file, how)

    monkeypatch.setattr(module.fcntl, "flock", late)
    result.save(tmp_path / "r.npz")
    assert once and c.Result.load(tmp_path / "r.npz").seed == result.seed


# What the file says


def members(path):
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write(path, parts, how=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", how) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


@pytest.fixture
def saved(tmp_path):
    record = {"l2": lambda theta: theta[:, 0], "other": lambda theta: theta[:, 1]}
    plan = c.mixture(9, 0.5, 3)
    result = c.simulate(c.Categorical(), SKEW, plan, replications=4, rng=5, record=record)
    result.save(tmp_path / "r.npz")
    return tmp_path / "r.npz", result, members(tmp_path / "r.npz")


def test_changed_content_is_seen(saved):
    path, _, parts = saved
    head = json.loads(str(np.load(io.BytesIO(parts["head.npy"]))))
    names = [name for name in parts if name != "head.npy"]
    for one in names:  # another member in its place, and one number changed
        other = next(name for name in names if name != one and parts[name] != parts[one])
        more = np.load(io.BytesIO(parts[one])).copy()
        more[-1] = more[-2]
        for changed in ({one: parts[other], other: parts[one]}, {one: npy(more)}):
            if all(parts[name] == content for name, content in changed.items()):
                continue
            write(path, parts | changed)
            with pytest.raises(ValueError, match=r"cannot load a Result from '.*r.npz'"):
                c.Result.load(path)
    swapped = {"value0.npy": parts["value1.npy"], "value1.npy": parts["value0.npy"]}
    write(path, parts | swapped)
    with pytest.raises(ValueError, match="the digest differs"):
        c.Result.load(path)
    for key, value in {"seed": 6, "names": ["other", "l2"], "mixing": "stratified"}.items():
        assert head[key] != value
        write(path, parts | {"head.npy": npy(np.array(json.dumps(head | {key: value})))})
        with pytest.raises(ValueError, match="the digest differs"):
            c.Result.load(path)


def test_files_without_a_digest_are_still_read(saved):
    path, result, parts = saved
    head = json.loads(str(np.load(io.BytesIO(parts["head.npy"]))))
    del head["digest"]
    write(path, parts | {"head.npy": npy(np.array(json.dumps(head)))})
    again = c.Result.load(path)
    assert repr(again) == repr(result)
    np.testing.assert_array_equal(again.values["other"], result.values["other"])


def test_a_small_file_does_not_grow_to_gigabytes(saved):
    path, _, parts = saved
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
        with archive.open("value2.npy", "w", force_zip64=True) as file:  # 320 MB of zeros
            for _ in range(320):
                file.write(bytes(2**20))
    assert path.stat().st_size < 2**20
    with pytest.raises(ValueError, match="would grow to 3355"):
        c.Result.load(path)


def test_an_array_that_says_it_is_larger_than_its_place_is_not_made(saved, monkeypatch):
    path, _, parts = saved
    for shape in ((4, 2**40), (4, 5), (4, 3)):
        lie = parts["value0.npy"].replace(b"(4, 4)", b"(%d, %d)" % shape)
        lie = lie[:128].rstrip(b" \n")[:118].ljust(127) + b"\n" + lie[len(lie) - 4 * 4 * 8 :]
        write(path, parts | {"value0.npy": lie})
        with monkeypatch.context() as patched:
            patched.setattr(np.lib.format, "read_array", lambda *_, **__: pytest.fail("it is read"))
            with pytest.raises(ValueError, match=r"value0.npy holds 256 bytes, its array \d+"):
                c.Result.load(path)


def test_a_size_in_the_directory_that_is_a_lie_is_no_way_around(saved):
    path, _, parts = saved
    parts["value0.npy"] = npy(np.zeros((4, 2**16)))
    write(path, parts)
    whole = path.read_bytes()
    true = len(parts["value0.npy"]).to_bytes(4, "little")
    at = whole.rindex(true)
    path.write_bytes(whole[:at] + (256).to_bytes(4, "little") + whole[at + 4 :])
    with pytest.raises(ValueError, match="cannot load a Result"):
        c.Result.load(path)


@pytest.mark.parametrize("kind", [np.zeros, lambda shape: np.random.default_rng(1).random(shape)])
def test_whatever_is_saved_can_be_loaded(tmp_path, monkeypatch, kind):
    path, plan = tmp_path / "r.npz", c.replace(10, 3)
    for plain in (0, 1000, 2_432, 3_000, 2**28):
        monkeypatch.setattr(module, "PLAIN", plain)
        for R in (1, 60, 76, 77, 2**14):
            values = {"a": kind((4, R))}
            c.Result(plan, values).save(path)
            np.testing.assert_array_equal(c.Result.load(path).values["a"], values["a"])


# Seeds


def test_a_seed_is_given_only_where_it_repeats_the_run():
    def run(rng):
        return c.simulate(c.Categorical(), SKEW, c.replace(50, 2), replications=300, rng=rng)

    def used(draws, spawned):
        made = np.random.default_rng(3)
        made.random(draws)
        made.spawn(spawned)
        return made

    class Other(np.random.Generator):
        pass

    sequence = np.random.SeedSequence
    yes = [3, [1, 2], None, sequence(4), np.random.PCG64(3), used(9, 0), np.array([[1, 2], [3, 4]])]
    no = [
        used(0, 1), used(5, 2), np.random.Philox(3), np.random.MT19937(3), np.random.SFC64(3),
        np.random.PCG64DXSM(3), sequence(3).spawn(1)[0], sequence(3, spawn_key=(1,)),
        sequence(3, pool_size=8), used(0, 0).spawn(2)[1], sequence(["0x10", "7"]),
        Other(np.random.PCG64(3)),
    ]  # fmt: skip
    for rng in yes:
        first = run(rng)
        assert first.seed is not None, rng
        np.testing.assert_array_equal(run(first.seed).values["l2"], first.values["l2"])
    for rng in no:
        assert run(rng).seed is None, rng
    shared = np.random.default_rng(3)
    assert run(shared).seed == 3 and run(shared).seed is None


def test_which_replications_stay_when_there_are_more():
    def values(R):
        plan = c.replace(50, 2)
        return c.simulate(c.Categorical(), SKEW, plan, replications=R, rng=3).values["l2"]

    runs = {R: values(R) for R in (100, 256, 300, 600)}
    for R, whole in ((256, 256), (300, 256)):
        np.testing.assert_array_equal(runs[R][:, :whole], runs[600][:, :whole])
    for R, first in ((100, 0), (300, 256)):  # a smaller batch has other draws
        assert (runs[R][:, first:] != runs[600][:, first:R]).any()
