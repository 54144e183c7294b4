"""The small GPT: the network, its training and sampling, the contract, and the experiment."""

import errno
import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import chi2
from scipy.stats import t as student

import collapse as c

jax = pytest.importorskip("jax", reason='needs pip install -e ".[gpt]"')
pytest.importorskip("tokenizers", reason='needs pip install -e ".[gpt]"')

import equinox as eqx  # noqa: E402
import jax.numpy as jnp  # noqa: E402

from collapse.experiments import gpt as experiment  # noqa: E402
from collapse.models import gpt  # noqa: E402
from collapse.models.gpt import GPT, Config, Documents, Transformer, bits, write  # noqa: E402

SMALL = Config(11, context=8, layers=2, heads=2, width=16, batch=4, epochs=2)
ROOT = Path(__file__).parents[1]
TINY = experiment.CONFIGS["tiny"]


@pytest.fixture(scope="module")
def net():
    return Transformer(SMALL, jax.random.key(1))


def documents(R, n, seed=0, c=SMALL):
    """Random documents of one to six tokens."""
    rng = np.random.default_rng(seed)
    x = np.full((R, n, c.context + 1), -1, np.int32)
    x[..., 0] = 0
    for row in x.reshape(-1, c.context + 1):
        length = rng.integers(1, c.context - 1)
        row[1 : length + 1] = rng.integers(1, c.vocabulary, length)
        row[length + 1] = 0
    return x


class Source:
    """A target: random documents."""

    def __init__(self, model):
        self.model = model

    def sample(self, n, rng):
        x = documents(n.size, int(n.max()), seed=int(rng.integers(2**31)))
        return self.model.documents(x, n, rng)


# The network


def test_loss_at_the_start_is_that_of_guessing():
    big = Config(512, width=64, layers=2, heads=4)
    rows = documents(1, 200, c=big)[0]
    total, number = bits(Transformer(big, jax.random.key(2)), rows)
    assert float(total.sum() / number.sum()) == pytest.approx(np.log2(512), rel=0.01)


def test_the_future_is_masked(net):
    """Another token at position t changes no logits before t, and some at t and after."""
    tokens = jnp.arange(8)[None] % 11
    before = net(tokens)
    for t in range(1, 8):
        after = net(tokens.at[0, t].set(10))
        np.testing.assert_array_equal(before[:, :t], after[:, :t])
        assert (abs(before[:, t:] - after[:, t:]).max(axis=-1) > 1e-6).all()


def test_step_by_step_is_the_whole_pass(net):
    tokens = jax.random.randint(jax.random.key(3), (5, 8), 0, 11)
    empty = jnp.zeros((5, 2, 8, 8))
    cache = [(empty, empty)] * 2
    for t in range(8):
        logits, cache = net.step(tokens[:, t], t, cache)
        np.testing.assert_allclose(logits, net(tokens)[:, t], atol=2e-5)


def test_documents_have_the_law_of_the_softmax(net):
    """First tokens, and second ones after the commonest first, in 60,000 documents.

    Chi-square at a false alarm of 5e-7 each; a law with 5% (or half of the largest probability, if
    that is less) moved from the likeliest token to the least likely is rejected by the same check.
    """
    sharp = eqx.tree_at(lambda net: net.token, net, 20 * net.token)  # far from uniform
    rows = np.asarray(write(SMALL, sharp, jax.random.key(4), 60_000))
    assert (rows[:, 0] == 0).all()
    first = rows[:, 1]
    top = np.bincount(first[first > 0]).argmax()
    for drawn, context in ((first, [0]), (rows[first == top, 2], [0, top])):
        p = np.asarray(jax.nn.softmax(sharp(jnp.array([context]))[0, -1]), dtype=float)
        count = np.bincount(drawn, minlength=11)

        def distance(q, count=count):
            return ((count - count.sum() * q) ** 2 / (count.sum() * q)).sum()

        assert distance(p) < chi2.isf(5e-7, 10)
        wrong, share = p.copy(), min(0.05, p.max() / 2)
        wrong[p.argmax()] -= share
        wrong[p.argmin()] += share
        assert distance(wrong) > chi2.isf(5e-7, 10)


def test_written_documents_are_well_formed(net):
    rows = np.asarray(write(SMALL, net, jax.random.key(5), 500))
    for row in rows:
        ends = np.flatnonzero(row[1:] == 0)
        over = ends[0] + 2 if ends.size else 9
        assert (row[over:] == -1).all() and (row[1 : over - 1] > 0).all() and row[0] == 0


# Training


def test_one_batch_is_overfitted():
    x = documents(1, 4)
    model = GPT(replace(SMALL, epochs=400, rate=1e-2))
    data = model.documents(x, np.array([4]), np.random.default_rng(1))
    theta = model.fit(data)
    first = np.log2(4) * 4 / (x[0, :, 1:] >= 0).sum()  # which of the four it is cannot be known
    assert model.bits(theta, x[0])[0] / (x[0, :, 1:] >= 0).sum() < first + 0.15


def test_together_and_one_by_one_agree():
    model = GPT(SMALL)
    data = model.documents(documents(4, 16), np.full(4, 16), np.random.default_rng(2))
    alone = [Documents(*(field[r : r + 1] for field in data)) for r in range(4)]
    held = documents(1, 50, seed=9)[0]
    lost = model.bits(model.fit(data), held)
    one_by_one = [model.bits(model.fit(part), held)[0] for part in alone]
    vmapped = GPT(SMALL, together=True)
    np.testing.assert_allclose(lost, one_by_one, rtol=1e-4)
    np.testing.assert_allclose(lost, vmapped.bits(vmapped.fit(data), held), rtol=1e-3)
    assert len(set(lost.round(3))) == 4


def test_replications_have_keys_of_their_own():
    """The same documents, four different trainings; the same model, four different texts."""
    model, rng = GPT(SMALL), np.random.default_rng(2)
    data = model.documents(np.repeat(documents(1, 16), 4, axis=0), np.full(4, 16), rng)
    theta = model.fit(data)
    assert len(set(model.bits(theta, documents(1, 50, seed=9)[0]).round(3))) == 4
    same = jax.tree.map(lambda leaf: jnp.repeat(leaf[:1], 4, axis=0), theta)
    assert len({x.tobytes() for x in model.sample(same, np.full(4, 16), rng).x}) == 4


def test_equal_weights_read_each_document_once_an_epoch():
    """and weights 3 to 1 read three times as often."""
    from collapse.models.gpt import _shuffled

    key = jax.random.key(6)
    rows = _shuffled(jnp.r_[jnp.full(100, 0.01), jnp.zeros(28)], 100, key)
    assert sorted(rows[:100].tolist()) == list(range(100))
    weight = jnp.r_[jnp.full(50, 0.015), jnp.full(50, 0.005), jnp.zeros(28)]
    seen = np.concatenate([_shuffled(weight, 100, k)[:100] for k in jax.random.split(key, 40)])
    assert (seen < 50).mean() == pytest.approx(0.75, abs=0.01) and seen.max() < 100


# The contract


def test_contract_sizes_and_empty_data():
    model, rng = GPT(SMALL), np.random.default_rng(3)
    source, held = Source(model), documents(1, 50, seed=9)[0]
    previous = model.fit(source.sample(np.array([9, 10, 11, 12]), rng))
    data = source.sample(np.array([1, 0, 40, 0]), rng)
    np.testing.assert_array_equal(data.size, [1, 0, 40, 0])
    theta = model.fit(data, previous=previous)
    before, after = model.bits(previous, held), model.bits(theta, held)
    assert (after == before).tolist() == [False, True, False, True] and np.isfinite(after).all()
    assert len(set(before.tolist())) == 4  # whose model it is can be told
    with pytest.raises(ValueError, match="at least one document"):
        model.fit(data)
    again = model.sample(theta, np.array([3, 0, 2, 7]), rng)
    np.testing.assert_array_equal(again.size, [3, 0, 2, 7])
    np.testing.assert_array_equal((again.weight > 0).sum(axis=1), [3, 0, 2, 7])
    assert np.isfinite(model.bits(model.fit(again, previous=theta), held)).all()
    assert model.sample(theta, np.zeros(4, int), rng).x.shape[1] == 0


def test_few_shapes_are_compiled():
    """Training compiles once for each power of two, not for each n."""
    model, rng = GPT(replace(SMALL, epochs=1)), np.random.default_rng(1)
    fits = gpt._program(gpt._train, model.config, False, tuple(jax.local_devices()[:1]))
    for n in (17, 20, 25, 31, 32):
        model.fit(model.documents(documents(1, n), np.array([n]), rng))
    assert fits._cache_size() == 1
    model.fit(model.documents(documents(1, 33), np.array([33]), rng))
    assert fits._cache_size() == 2


def test_contract_pools():
    model, rng = GPT(SMALL), np.random.default_rng(4)
    a, b = (Source(model).sample(np.array(n), rng) for n in ([4, 0, 6], [2, 5, 0]))
    a.x[..., 1], b.x[..., 1] = 1, 2
    for share in (0.0, 1.0, np.array([1 / 3, 0.5, 0.5])):
        pooled = model.pool(a, b, share)
        u, v = (1 - np.broadcast_to(share, 3)) * (a.size > 0), share * (b.size > 0)
        total = np.maximum(u + v, 1e-300)
        from_a = (pooled.weight * (pooled.x[..., 1] == 1)).sum(axis=1)
        np.testing.assert_allclose(from_a, u / total)
        assert (pooled.weight > 0).any(axis=0).all()
        np.testing.assert_allclose(pooled.weight.sum(axis=1), (u + v > 0).astype(float))
    assert pooled.size.tolist() == pytest.approx([6, 5, 6])


def test_contract_loops_and_more_data_help():
    """Every agnostic scheme runs; the same seed gives the same numbers; loss falls with n."""
    model, held = GPT(SMALL), documents(1, 50, seed=9)[0]
    record = {"bits": lambda theta: model.bits(theta, held)}
    for plan in (
        c.mixture([8, 12, 4], 0.5, 2),
        c.accumulate(8, 2, alpha=0.5, mixing="stratified"),
        c.weighted(8, 0.5, 2, real_weight=0.7),
        c.filtered(8, 0.1, 2),
    ):
        first, second = (
            c.simulate(model, Source(model), plan, replications=2, rng=5, record=record)
            for _ in "ab"
        )
        np.testing.assert_array_equal(first.values["bits"], second.values["bits"])
    rng = np.random.default_rng(7)
    few, many = (
        model.bits(model.fit(Source(model).sample(np.full(2, n), rng)), held).mean()
        for n in (4, 256)
    )
    assert many < few - 10


# The experiment


def results(path):
    found = json.loads(Path(path).read_text())
    return {key: value for key, value in found.items() if key not in ("seconds", "date")}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    out = tmp_path_factory.mktemp("gpt") / "whole.json"
    experiment.run("tiny", TINY, out, quiet=True)
    return out


def test_an_interrupted_run_resumes_to_the_same_numbers(whole, tmp_path):
    out = tmp_path / "cut.json"
    for stop in (1, 3, 5):  # within a setting, and at the end of one
        with pytest.raises(KeyboardInterrupt):
            experiment.run("tiny", TINY, out, resume=stop > 1, stop_after=stop, quiet=True)
        assert not out.exists()
    experiment.run("tiny", TINY, out, resume=True, quiet=True)
    assert results(out) == results(whole)
    assert [path.name for path in tmp_path.iterdir()] == ["cut.json"]


def test_results_say_what_they_are(whole):
    found = results(whole)
    assert {"config", "parameters", "corpus", "seed", "device", "versions"} <= set(found)
    assert [one["setting"] for one in found["settings"]] == list(TINY.settings)
    first = [one["generations"][0]["bits per byte"] for one in found["settings"]]
    assert first[0] == first[1] == first[2] and len(first[0]) == TINY.splits
    for one in found["settings"]:
        assert len(one["generations"]) == TINY.generations + 1
        for measured in one["generations"]:
            assert all(np.isfinite(v).all() for k, v in measured.items() if k != "text")


def test_real_documents_are_fresh_and_never_held_out():
    corpus = experiment.read(300, 24, held_out=50, rng=1)
    model, R = GPT(Config(300, context=24)), 3
    plan = c.mixture(40, 0.5, 4, mixing="stratified")
    target = experiment.Fresh(model, corpus, plan).start(R, np.random.default_rng(2))
    seen = [[] for _ in range(R)]
    for n in ([40, 40, 40], [20, 5, 20], [20, 20, 0]):
        data = target.sample(np.array(n), np.random.default_rng(3))
        for r in range(R):
            seen[r] += [row.tobytes() for row in data.x[r, : n[r]]]
            order = target.order[r, : target.used[r]]
            assert len(set(order.tolist())) == len(order) == len(seen[r])
            assert [corpus.train[i].tobytes() for i in order] == seen[r]
    assert seen[0] != seen[1]
    assert len(corpus.held_out) == 50
    assert corpus.held_out_bytes == sum(len(corpus.decode(r).encode()) for r in corpus.held_out)
    parts = (corpus.train, corpus.validation, corpus.held_out)
    texts = [corpus.decode(row) for rows in parts for row in rows]
    assert len(texts) > 1000 and len(set(texts)) == len(texts)  # no document is in two parts


def test_what_is_measured():
    """Statistics of text by hand; loss and perplexity of a network that knows nothing."""
    rows = np.full((2, 2, 9), -1)
    rows[0, 0, :7] = [0, 1, 2, 3, 1, 2, 0]  # triples 123, 231, 312; pairs 12, 23, 31
    rows[0, 1, :6] = [0, 1, 2, 3, 4, 0]  # 123 again, 234; 34
    rows[1, 0, :2] = rows[1, 1, :2] = 0
    found = experiment.written(rows)
    assert {name: values.tolist() for name, values in found.items()} == {
        "distinct pairs": [4, 0], "repetition": [1 - 4 / 5, 0], "length": [4.5, 0],
    }  # fmt: skip
    assert experiment._coverage(np.array([1, 4, 7]), rows[0]) == pytest.approx(2 / 3)

    class Corpus:
        held_out, held_out_bytes, rare, decode = documents(1, 60)[0], 1000, np.array([3]), str

    model, net = GPT(SMALL), Transformer(SMALL, jax.random.key(1))
    theta = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), net)
    found = experiment.measure(model, Corpus, theta, np.random.default_rng(1))
    tokens = (Corpus.held_out[:, 1:] >= 0).sum()
    np.testing.assert_allclose(found["perplexity"], 11, rtol=0.03)
    np.testing.assert_allclose(found["bits per byte"], tokens * np.log2(11) / 1000, rtol=0.03)
    assert found["rare tokens"] == [1, 1] and len(found["text"]) == 6


def test_the_settings_by_hand():
    """Documents of each generation, and real ones among them."""
    plans = experiment.plans(20, 4)
    sizes = {name: plan.n.tolist() for name, plan in plans.items()}
    real = {name: np.rint(plan.n * plan.alpha).tolist() for name, plan in plans.items()}
    assert sizes.pop("mixture, n grows") == [20, 24, 30, 34, 40]
    assert sizes.pop("real only, half") == [20, 10, 10, 10, 10]
    assert all(n == [20] * 5 for n in sizes.values())
    assert real["replace"] == real["accumulate"] == [20, 0, 0, 0, 0]
    assert real["mixture"] == [20, 10, 10, 10, 10] and real["real only"] == [20] * 5
    assert real["mixture, share falls"] == [20, 10, 5, 3, 2]
    assert real["mixture, n grows"] == [20, 12, 15, 17, 20]
    assert real["real only, half"] == [20, 10, 10, 10, 10]
    kept = [name for name, plan in plans.items() if (plan.gain[1:] < 1).all()]
    assert kept == ["accumulate"]


def test_near_duplicates_are_counted():
    words = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
    train = ["Open the file, now!", " ".join(words), "a b c d e f"]
    held = ["open THE file 3 now", " ".join([*words[:7], "x"]), "one two", "f e d c b a",
            " ".join([*words[:5], "x", "y", "z"]), ""]  # fmt: skip

    class Texts:
        decode = staticmethod(lambda text: text)

    Texts.train, Texts.held_out = train, held
    assert experiment.near_duplicates(Texts).tolist() == [True, True, *[False] * 4]


def test_documents_start_anew_in_every_batch(monkeypatch):
    """simulate gives the same for every n_jobs; a started target keeps to its replications."""
    corpus = experiment.read(300, 24, held_out=50, rng=1)
    model = GPT(Config(300, context=24, width=16, epochs=1))
    plan = c.mixture(8, 0.5, 2, mixing="stratified")
    target = experiment.Fresh(model, corpus, plan)
    started = target.start(2, np.random.default_rng(1))
    assert started.start(2, None) is started
    with pytest.raises(ValueError, match="replications must be the 2 started, found 3"):
        started.start(3, None)
    monkeypatch.setattr(c.engine, "BATCH", 2)
    record = {"norm": lambda theta: np.asarray(theta.token, dtype=float).std(axis=(1, 2))}
    one, two = (
        c.simulate(model, target, plan, replications=4, rng=5, record=record, n_jobs=jobs)
        for jobs in (1, 2)
    )
    np.testing.assert_array_equal(one.values["norm"], two.values["norm"])
    assert len(set(one.values["norm"][0])) == 4


def test_the_end_mark_cannot_be_written_in_a_text(tmp_path):
    text, _ = experiment.targets.paragraphs()
    said = "this is not the <end> of it"
    (tmp_path / "a.txt").write_text("\n\n".join([*text[:300], said]))
    corpus = experiment.read(300, 64, files=tmp_path, held_out=20, rng=1)
    rows = np.concatenate([corpus.train, corpus.validation, corpus.held_out])
    assert ((rows == 0).sum(axis=1) == 2).all()
    assert said in {corpus.decode(row) for row in rows}


def test_every_configuration_has_enough_real_documents():
    for config in experiment.CONFIGS.values():
        there = len(experiment.read(config.vocabulary, config.context, rng=1).train)
        for name in config.settings:
            plan = experiment.plans(config.documents, config.generations)[name]
            assert experiment.documents_needed(plan) <= there


def test_documents_needed():
    assert experiment.documents_needed(c.mixture(10, 0.5, 3, mixing="stratified")) == 25
    random = experiment.documents_needed(c.mixture(100, 0.5, 3))
    assert 250 < random <= 400
    assert experiment.documents_needed(c.mixture(10, 1.0, 3)) == 40
    assert experiment.documents_needed(c.replace(10, 3)) == 10


# The recorded run


def test_F10_a_network_collapses_and_fresh_text_stops_it():
    """Means of generations 1 to 10, paired; a recorded file, so nothing here is drawn anew.

    Eight replications, so Student's law, at a false alarm of 1e-5 a check. A level is a slope, from
    generation 2 on, below a fifth of that of replace.
    """
    record = json.loads((ROOT / "book" / "data" / "gpt-laptop.json").read_text(encoding="utf-8"))
    loss = {
        one["setting"]: np.array([g["bits per byte"] for g in one["generations"]])
        for one in record["settings"]
    }
    limit = student.isf(1e-5, record["config"]["splits"] - 1)

    def surely(x):  # x > 0 on average
        return x.mean() > limit * x.std(ddof=1) / np.sqrt(x.size)

    mean = {name: x[1:].mean(axis=0) for name, x in loss.items()}
    slope = {name: np.polyfit(range(2, 11), x[2:], 1)[0] for name, x in loss.items()}
    assert surely(mean["replace"] - mean["mixture, share falls"])
    assert surely(mean["mixture, share falls"] - mean["mixture"])
    assert surely(mean["mixture"] - mean["real only"])
    assert surely(loss["mixture, n grows"][0] - loss["mixture, n grows"][-1])
    for name, levels in (("replace", False), ("mixture, share falls", False), ("mixture", True)):
        assert surely(slope["replace"] / 5 - slope[name]) == levels
    assert (np.diff(loss["replace"].mean(axis=1)) > 0).all()


# Refusals


def test_what_cannot_be_read(tmp_path):
    with pytest.raises(ValueError, match="vocabulary must be a whole number of at least 257"):
        experiment.read(100, 64)
    (tmp_path / "a.txt").write_text("\n\n".join(f"the number {k} here" for k in range(300)))
    with pytest.raises(ValueError, match=r"vocabulary must be at most the \d+ tokens"):
        experiment.read(5000, 64, files=tmp_path, held_out=10, rng=1)
    with pytest.raises(ValueError, match=r"held_out must be at most the \d+ documents set apart"):
        experiment.read(260, 4, files=tmp_path, held_out=10, rng=1)


def test_training_that_diverges():
    model = GPT(replace(SMALL, rate=1e30))
    with pytest.raises(ValueError, match="rate must be smaller"):
        model.fit(Source(model).sample(np.array([8]), np.random.default_rng(1)))


def test_fresh_documents_run_out():
    corpus = experiment.read(300, 24, held_out=50, rng=1)
    model, there = GPT(Config(300, context=24)), len(corpus.train)
    rng = np.random.default_rng(2)
    target = experiment.Fresh(model, corpus, c.replace(40, 1)).start(1, rng)
    target.sample(np.array([there - 1]), rng)
    with pytest.raises(ValueError, match="without fresh documents"):
        target.sample(np.array([2]), rng)


def test_too_few_real_documents(tmp_path):
    config = replace(TINY, documents=10_000)
    with pytest.raises(ValueError, match=r"at most the \d+ real documents .* needs 10000"):
        experiment.run("big", config, tmp_path / "a.json", quiet=True)
    assert list(tmp_path.iterdir()) == []


def test_places(whole, tmp_path):
    with pytest.raises(FileExistsError, match="new file"):
        experiment.run("tiny", TINY, whole, quiet=True)
    with pytest.raises(ValueError, match=r"must be a \.json file"):
        experiment.run("tiny", TINY, tmp_path / "a.txt", quiet=True)
    with pytest.raises(FileNotFoundError, match="folder that exists"):
        experiment.run("tiny", TINY, tmp_path / "no" / "a.json", quiet=True)
    for bad in ("", tmp_path, f"{tmp_path}/", "/dev/null"):
        with pytest.raises(ValueError, match=r"must be a \.json file, such as .*results\.json"):
            experiment.run("tiny", TINY, bad, quiet=True)
    for k, end in enumerate(("json", "checkpoint.npz", "json.part", "checkpoint.npz.part")):
        for make in (os.mkfifo, os.mkdir):
            make(tmp_path / f"odd{k}{make.__name__}.{end}")
            with pytest.raises(ValueError, match=r"give another --out|such as"):
                out = tmp_path / f"odd{k}{make.__name__}.json"
                experiment.run("tiny", TINY, out, resume=True, quiet=True)
    (tmp_path / "b.checkpoint.npz").write_bytes(b"")
    with pytest.raises(FileExistsError, match="--resume"):
        experiment.run("tiny", TINY, tmp_path / "b.json", quiet=True)
    with pytest.raises(FileNotFoundError, match=r"resume needs .*d\.checkpoint\.npz, found none"):
        experiment.run("tiny", TINY, tmp_path / "d.json", resume=True, quiet=True)
    with pytest.raises(ValueError, match="seed must be a whole number"):
        experiment.run("tiny", TINY, tmp_path / "d.json", seed=-1, quiet=True)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"folder of \.txt files, found none"):
        experiment.run("tiny", TINY, tmp_path / "c.json", files=tmp_path / "empty", quiet=True)


def test_another_run_is_not_resumed(tmp_path):
    out = tmp_path / "a.json"
    with pytest.raises(KeyboardInterrupt):
        experiment.run("tiny", TINY, out, stop_after=1, quiet=True)
    with pytest.raises(ValueError, match=r"seed must be that of .*npz, 2026, found 1"):
        experiment.run("tiny", TINY, out, seed=1, resume=True, quiet=True)
    with pytest.raises(ValueError, match=r"config must be that of .*'rate': 0.01.*'rate': 0.02"):
        experiment.run("tiny", replace(TINY, rate=0.02), out, resume=True, quiet=True)
    kept = out.with_suffix(".checkpoint.npz")
    good = kept.read_bytes()
    for bad in (b"", b"no checkpoint", good[:-100]):
        kept.write_bytes(bad)
        with pytest.raises(ValueError, match="must be a checkpoint, found a file that is none"):
            experiment.run("tiny", TINY, out, resume=True, quiet=True)
        assert kept.read_bytes() == bad


def test_every_damaged_bit_is_seen(tmp_path):
    """500 of the file's bits, one at a time, in its head, its directory and anywhere."""
    out = tmp_path / "a.json"
    with pytest.raises(KeyboardInterrupt):
        experiment.run("tiny", TINY, out, stop_after=1, quiet=True)
    kept = out.with_suffix(".checkpoint.npz")
    good, rng = kept.read_bytes(), np.random.default_rng(8)
    corpus = experiment.read(TINY.vocabulary, TINY.context, rng=[2026, 0])
    model, plan = GPT(TINY), experiment.plans(32, 2)["replace"]
    target = experiment.Fresh(model, corpus, plan).start(2, rng)
    loops = [("replace", plan, target, np.random.default_rng(1))]

    def load():
        place = experiment.Checkpoint(out, True)
        place.what = {}
        return place.load(model, loops)

    assert load()[1][0] == 0 and (target.used == 32).all()
    size = 8 * len(good)
    places = [range(0, 800, 8), range(size - 4000, size, 20), rng.integers(size, size=200)]
    for bit in np.concatenate(places):
        bad = bytearray(good)
        bad[bit // 8] ^= 1 << bit % 8
        kept.write_bytes(bad)
        with pytest.raises(ValueError, match=r"a\.checkpoint\.npz must be .* damaged: put back"):
            load()


def test_a_killed_run_leaves_no_draft(tmp_path):
    for name in ("a.checkpoint.npz.part", "a.json.part"):
        (tmp_path / name).write_bytes(b"half")
    (tmp_path / "a.probe").write_bytes(b"a file of the reader")
    experiment.run("tiny", replace(TINY, settings=("replace",)), tmp_path / "a.json", quiet=True)
    assert {path.name for path in tmp_path.iterdir()} == {"a.json", "a.probe"}


def test_a_changed_text_is_not_resumed(tmp_path):
    folder, out = tmp_path / "text", tmp_path / "a.json"
    folder.mkdir()
    text, _ = experiment.targets.paragraphs()
    given = {"files": folder, "quiet": True}
    (folder / "a.txt").write_text("\n\n".join(text[:4000]))
    with pytest.raises(KeyboardInterrupt):
        experiment.run("tiny", TINY, out, stop_after=1, **given)
    (folder / "a.txt").write_text("\n\n".join(text[1:4000]))
    with pytest.raises(ValueError, match="text must be that of"):
        experiment.run("tiny", TINY, out, resume=True, **given)


def test_a_full_disk_loses_nothing(tmp_path, monkeypatch):
    out = tmp_path / "a.json"
    with pytest.raises(KeyboardInterrupt):
        experiment.run("tiny", TINY, out, stop_after=1, quiet=True)
    kept = out.with_suffix(".checkpoint.npz").read_bytes()

    fsync, calls = os.fsync, []

    def full(file):
        calls.append(file)
        if len(calls) == 2:  # the first is the trial before training
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(file)

    monkeypatch.setattr(experiment.os, "fsync", full)
    with pytest.raises(OSError, match=r"No space left on device.*as it was, go on with --resume"):
        experiment.run("tiny", TINY, out, resume=True, quiet=True)
    assert out.with_suffix(".checkpoint.npz").read_bytes() == kept
    assert [path.name for path in tmp_path.iterdir()] == ["a.checkpoint.npz"]


def test_the_command_says_what_is_wrong(tmp_path, monkeypatch, whole):
    with pytest.raises(SystemExit, match="new file"):
        experiment.main(["--config", "tiny", "--out", str(whole)])
    with pytest.raises(SystemExit, match="splits must be a whole number"):
        experiment.main(["--config", "tiny", "--out", str(tmp_path / "a.json"), "--splits", "0"])

    def broken(*args, **kw):
        raise RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes")

    monkeypatch.setattr(experiment, "run", broken)
    with pytest.raises(SystemExit, match="out of memory: go on with --resume"):
        experiment.main(["--config", "tiny", "--out", str(tmp_path / "a.json")])


def test_nothing_else_imports_the_network():
    import subprocess
    import sys

    code = "import collapse, sys; assert not {'jax', 'equinox', 'optax'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_bad_config():
    with pytest.raises(ValueError, match="heads must divide width 16, found 3"):
        Config(11, heads=3, width=16)
    with pytest.raises(ValueError, match="layers must be a whole number of at least 1"):
        Config(11, layers=0)
    with pytest.raises(ValueError, match="rate must be above 0"):
        Config(11, rate=0)
