"""Bad input: an error that names the argument, the value found and the value wanted."""

import re

import numpy as np
import pytest

import collapse as c
from collapse import asymptotics, book, bounds, design, exact, metrics, plot, recover, targets

P = [0.5, 0.5]
PLAN = c.mixture(10, 0.5, 3)
NAN, INF = float("nan"), float("inf")
SIZES = [c.mixture, c.filtered, c.aware, c.anchored]


def bad(call, *words, error=ValueError):
    with pytest.raises(error, match=".*".join(re.escape(word) for word in words)):
        call()


CASES = {
    "n fraction": (lambda f: f(10.5, 0.5, 3), "n must be whole numbers", "10.5"),
    "n zero": (lambda f: f(0, 0.5, 3), "n must be whole", "at least 1", "0"),
    "n negative": (lambda f: f(-4, 0.5, 3), "n must be", "-4"),
    "n nan": (lambda f: f(NAN, 0.5, 3), "n must be finite", "nan"),
    "n infinite": (lambda f: f(INF, 0.5, 3), "n must be finite", "inf"),
    "n too large": (lambda f: f(1e16, 0.5, 3), "n must be", "2**53", "1e+16"),
    "n length": (lambda f: f([1, 2, 3], 0.5, 3), "n must be", "length", "4", "(3,)"),
    "n ragged": (lambda f: f([[1, 2], [3]], 0.5, 3), "n must be an array"),
    "n function": (lambda f: f(lambda t: 3 - t, 0.5, 3), "n(t) must be above 0", "n(3) = 0"),
    "n function nan": (lambda f: f(lambda t: NAN, 0.5, 3), "n(t) must be finite", "nan"),
    "n function of arrays": (lambda f: f(lambda t: [t, t], 0.5, 3), "n(t) must return one number"),
    "alpha below": (lambda f: f(10, -0.1, 3), "alpha must lie in [0, 1]", "-0.1"),
    "alpha above": (lambda f: f(10, 1.1, 3), "alpha must lie in [0, 1]", "1.1"),
    "alpha nan": (lambda f: f(10, NAN, 3), "alpha must be finite", "nan"),
    "alpha start": (lambda f: f(10, [0.5] * 4, 3), "alpha[0] must be 1", "0.5"),
    "alpha length": (lambda f: f(10, [1, 0.5], 3), "alpha must be", "length", "4", "(2,)"),
    "alpha function": (lambda f: f(10, lambda t: 2 / t, 3), "alpha(t) must lie in [0, 1]", "2.0"),
    "generations zero": (lambda f: f(10, 0.5, 0), "generations must be", "at least 1", "0"),
    "generations half": (lambda f: f(10, 0.5, 2.5), "generations must be a whole number", "2.5"),
    "generations array": (lambda f: f(10, 0.5, [2, 3]), "generations must be one", "(2,)"),
}
WRONG_TYPES = {
    "n bool": (lambda f: f(True, 0.5, 3), "n must be real numbers", "True"),
    "n text": (lambda f: f("10", 0.5, 3), "n must be real numbers", "'10'"),
    "n none": (lambda f: f(None, 0.5, 3), "n must be real numbers", "None"),
    "alpha text": (lambda f: f(10, "half", 3), "alpha must be real numbers", "'half'"),
    "alpha complex": (lambda f: f(10, 0.5j, 3), "alpha must be real numbers", "0.5j"),
    "generations bool": (lambda f: f(10, 0.5, True), "generations must be a whole number", "True"),
}


@pytest.mark.parametrize("scheme", SIZES, ids=lambda f: f.__name__)
@pytest.mark.parametrize("case", CASES)
def test_schemes_refuse_values(scheme, case):
    call, *words = CASES[case]
    bad(lambda: call(scheme), *words)


@pytest.mark.parametrize("scheme", SIZES, ids=lambda f: f.__name__)
@pytest.mark.parametrize("case", WRONG_TYPES)
def test_schemes_refuse_types(scheme, case):
    call, *words = WRONG_TYPES[case]
    bad(lambda: call(scheme), *words, error=TypeError)


def test_whole_floats_are_whole():
    assert c.replace(1e6, 1e1).n.tolist() == [10**6] * 11
    assert c.mixture(lambda t: 0.2 + t, 0.5, 2).n.tolist() == [1, 1, 2]  # rounded, at least 1


def test_other_schemes():
    bad(lambda: c.replace(0, 3), "n must be whole")
    bad(lambda: c.accumulate(10, 3, alpha=2), "alpha must lie in [0, 1]", "2.0")
    bad(lambda: c.mixture(10, 0.5, 3, mixing="none"), "mixing must be one of", "'none'")
    bad(lambda: c.mixture(10, 0.5, 3, mixing=1), "mixing must be one of", error=TypeError)
    bad(lambda: c.mixture(10, 0.55, 3, mixing="stratified"), "alpha * n must be whole", "5.5")
    bad(lambda: c.weighted(10, 0.25, 3, real_weight=0.5), "alpha * n must be whole", "2.5")
    bad(lambda: c.weighted(10, 0.5, 3, real_weight=1.5), "real_weight must lie in [0, 1]", "1.5")
    bad(lambda: c.weighted(10, 0.5, 3, real_weight=[0.5] * 4), "real_weight[0] must be 1", "0.5")


def test_plans_by_hand():
    n, alpha = [10, 10], [1, 0.5]
    bad(lambda: c.Plan(10, alpha), "n must have shape (T + 1,)", "()")
    bad(lambda: c.Plan([10], [1]), "n must have shape (T + 1,)", "(1,)")
    bad(lambda: c.Plan(n, [1, 0.5, 0.5]), "alpha must have the shape of n", "(2,)", "(3,)")
    bad(lambda: c.Plan(n, alpha, gain=[0.5, 1]), "gain[0] must be 1", "0.5")
    bad(lambda: c.Plan(n, alpha, gain=[1, 2]), "gain must lie in [0, 1]", "2.0")
    bad(lambda: c.Plan(n, alpha, real="old"), "real must be one of", "'old'")
    bad(lambda: c.Plan(n, alpha, real_weight=[1, 0.5]), "real_weight must be 1 throughout", "0.5")


def test_schedule_helpers():
    bad(lambda: c.power(0, 1), "scale must be above 0", "0.0")
    bad(lambda: c.power(1, NAN), "exponent must be finite", "nan")
    bad(lambda: c.power(1, 1, maximum=-1), "maximum must be above 0", "-1")
    bad(lambda: c.geometric(1, 0), "ratio must be above 0", "0.0")
    bad(lambda: c.geometric("1", 2), "start must be real numbers", "'1'", error=TypeError)
    bad(lambda: c.geometric([1, 2], 2), "start must be one number", "(2,)")
    bad(lambda: c.replace(c.geometric(10, 2), 2000), "n(t) must be finite", "inf")
    assert c.replace(c.geometric(10, 2, maximum=100), 2000).n[-1] == 100


BAD_P = {
    "negative": ([1.5, -0.5], "must be nonnegative", "-0.5"),
    "unnormalised": ([0.5, 0.6], "must sum to 1 within 1e-09", "1.1"),
    "nan": ([NAN, 1.0], "must be finite", "nan"),
    "scalar": (1.0, "must have tokens on its last axis", "()"),
    "empty": (np.zeros((2, 0)), "must have tokens on its last axis", "(2, 0)"),
}


@pytest.mark.parametrize("case", BAD_P)
def test_probabilities(case):
    p, *words = BAD_P[case]
    for call in (
        lambda: exact.l2_risk(p, PLAN),
        lambda: exact.covariance(p, PLAN),
        lambda: exact.heterozygosity(p),
    ):
        bad(call, "p ", *words)
    bad(lambda: c.simulate(c.Categorical(), p, PLAN), "target ", *words)
    bad(lambda: c.iterate(c.Categorical(), p, PLAN), "target ", *words)  # at the call
    for name in metrics.__all__:
        bad(lambda name=name: getattr(metrics, name)(p, P), "theta ", *words)
        bad(lambda name=name: getattr(metrics, name)(P, p), "p ", *words)


def test_exact():
    for name in ("inflation", "effective_sample_size"):
        bad(
            lambda name=name: getattr(exact, name)(3),
            "plan must be a collapse.Plan",
            "3",
            error=TypeError,
        )
    bad(lambda: exact.l2_risk([P, P], PLAN), "p must have exactly 1 axis", "(2, 2)")
    bad(lambda: exact.covariance(P, PLAN, 4), "t must lie in [-4, 3]", "4")
    bad(lambda: exact.covariance(P, PLAN, 1.0), "t must be a whole number", "1.0", error=TypeError)
    bad(lambda: exact.covariance(P, PLAN, True), "t must be a whole number", error=TypeError)
    bad(lambda: exact.plateau(1.5, 10), "alpha must lie in [0, 1]", "1.5")
    bad(lambda: exact.plateau(0.5, 0), "n must be whole", "0")
    bad(lambda: exact.plateau([0.1, 0.2], [1, 2, 3]), "alpha and n must broadcast", "(2,)", "(3,)")
    assert exact.plateau([[0.1], [0.2]], [1, 2, 3]).shape == (2, 3)


def test_metrics():
    for name in metrics.__all__:
        f = getattr(metrics, name)
        bad(lambda f=f: f(P, [0.2, 0.3, 0.5]), "p must have the shape of theta", "(2,)", "(3,)")
        bad(lambda f=f: f([P], [P, P]), "p must have the shape of theta", "(1, 2)", "(2, 2)")


def test_engine():
    model = c.Categorical()
    bad(lambda: c.simulate(c.Categorical, P, PLAN), "model must have methods", error=TypeError)
    bad(lambda: c.simulate("x", P, PLAN), "model must have methods", "'x'", error=TypeError)
    bad(
        lambda: c.simulate(model, P, "plan"),
        "plan must be a collapse.Plan",
        "'plan'",
        error=TypeError,
    )
    bad(lambda: c.simulate(model, [P, P], PLAN), "target must have exactly 1 axis", "(2, 2)")
    bad(lambda: c.simulate(model, P, PLAN, replications=0), "replications must be", "0")
    bad(lambda: c.simulate(model, P, PLAN, replications=2.5), "replications must be", "2.5")
    bad(lambda: c.simulate(model, P, PLAN, n_jobs=0), "n_jobs must be 1 to 4096", "0")
    bad(lambda: c.simulate(model, P, PLAN, progress=1), "progress must be", "1", error=TypeError)
    bad(lambda: c.simulate(model, P, PLAN, record={}), "record must be a dict", error=TypeError)
    bad(
        lambda: c.simulate(model, P, PLAN, record={"a": 1}),
        "record must map",
        "'a': 1",
        error=TypeError,
    )
    for rng in (1.5, "seed", True, np.random.RandomState(1), [1.5]):
        bad(
            lambda rng=rng: c.simulate(model, P, PLAN, rng=rng),
            "rng must be None, a seed",
            error=TypeError,
        )
        bad(
            lambda rng=rng: c.iterate(model, P, PLAN, rng=rng),
            "rng must be None, a seed",
            error=TypeError,
        )
    bad(lambda: c.simulate(model, P, PLAN, rng=-1), "rng must be None, a seed", "-1")

    class Source:
        def sample(self, n, rng):
            return model.sample(np.tile(P, (n.size, 1)), n, rng)

    bad(lambda: c.simulate(model, Source(), PLAN), "record must be given")

    class Bare:
        sample = pool = fit = print

    bad(lambda: c.simulate(Bare(), P, PLAN), "target must have a method sample", error=TypeError)
    bad(
        lambda: c.simulate(Bare(), Source(), c.anchored(10, 0.5, 2), record={"x": len}),
        "model needs a method empirical",
        error=TypeError,
    )
    bad(lambda: c.Categorical(add=-1), "add must be at least 0", "-1")
    bad(lambda: c.Categorical(add=NAN), "add must be finite", "nan")


def test_result():
    ok = np.ones((4, 2))
    bad(lambda: c.Result(3, {"a": ok}), "plan must be", "3", error=TypeError)
    bad(lambda: c.Result(PLAN, {}), "values must be a dict", error=TypeError)
    bad(lambda: c.Result(PLAN, {"a": ok.T}), "values['a'] must have shape", "(2, 4)")
    bad(lambda: c.Result(PLAN, {"a": ok, "b": ok[:, :1]}), "values must all have one shape")
    bad(lambda: c.Result(PLAN, {1: ok}), "values must have names of type str", "1", error=TypeError)
    bad(lambda: c.Result(PLAN, {"a": ok * NAN}), "values['a'] must be numbers, found NaN")
    bad(lambda: c.Result(PLAN, {"a": ok + 1j}), "values['a'] must be real", error=TypeError)
    bad(lambda: c.Result(PLAN, {"a": ok}, seed="x"), "seed must be whole", "'x'", error=TypeError)
    bad(lambda: c.Result.load(1), "path must be a str or a path", "1", error=TypeError)
    good = c.Result(PLAN, {"a": ok})
    bad(lambda: good.save(None), "path must be a str", "None", error=TypeError)
    bad(lambda: good.save("no/where.npz"), "path must be in a folder", error=FileNotFoundError)
    bad(lambda: good.save("."), "path must name a file", error=IsADirectoryError)
    bad(lambda: c.Result(PLAN, {"a": ok}).quantile(2), "q must lie in [0, 1]", "2.0")
    bad(
        lambda: c.Result(PLAN, {"a": ok}).quantile([[0.5]]),
        "q must be a number or a list",
        "(1, 1)",
    )


def test_targets(tmp_path):
    bad(lambda: targets.zipf(0), "K must be a whole number", "0")
    bad(lambda: targets.zipf(3, -1), "s must be at least 0", "-1")
    bad(lambda: targets.words(0), "k must be a whole number", "0")
    bad(lambda: targets.words(10**9), "k must be at most", "distinct words", "1000000000")
    bad(lambda: targets.words(3, 7), "files must be a path", "7", error=TypeError)
    bad(lambda: targets.words(3, [7]), "files must be a path", "7", error=TypeError)
    bad(lambda: targets.words(3, []), "files must", "none")
    (tmp_path / "numbers.txt").write_text("1 2 3 ...")
    bad(
        lambda: targets.words(1, tmp_path / "numbers.txt"),
        "files must contain words",
        "numbers.txt",
    )
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9")
    bad(lambda: targets.words(1, [tmp_path / "latin.txt"]), "files must be UTF-8", "latin.txt")
    bad(
        lambda: targets.words(1, tmp_path / "none.txt"),
        "files",
        "none.txt",
        error=FileNotFoundError,
    )
    bad(lambda: targets.words(1, tmp_path), "files must be text files", error=IsADirectoryError)


FILES = {  # what is in the file, how it is read, what the message says
    "names": ("Ada\nAlan\nGrace Hopper\n", {}, "two documents or more", "4 tokens", "by='line'"),
    "three lines": ("One two three.\nFour five.\nSix seven.\n", {}, "found one", "by='line'"),
    "one line": ("Ada\n", {"by": "line"}, "two documents or more", "found one line"),
    "one file": ("Ada a b.\n\nAlan c d.\n", {"by": "file"}, "found one file", "by='paragraph'"),
    "no line": ("...\n1\n", {"by": "line"}, "files must contain a line with a word", "none"),
    "chinese": (
        "我们读书并写下文字然后再读。\n\n" * 3,
        {},
        "script",
        "我们读书",
        "cut='character'",
    ),
    "json lines": ('{"text": "a b c"}\n{"text": "d e f"}\n', {}, "field must name", '"text"'),
    "json": ('[\n {"text": "a b c"},\n {"text": "d e f"}\n]\n', {}, "field must name"),
    "html": ("<!DOCTYPE html>\n<p>One two three</p>", {}, "markup", "without the tags"),
    "html part": ("<p>One two three.</p>\n\n<p>Four five six.</p>", {}, "markup", "tags"),
    "no table": ("One two three.", {"field": "text"}, "files must be .csv, .tsv or JSON Lines"),
    "no column": ('{"body": "a"}\n', {"field": "text"}, "field", "'text'", "record 1", "body"),
    "a number": ('{"t": "a"}\n{"t": 3}\n', {"field": "t"}, "column of text", "record 2", "3"),
    "no record": ("[1]\n", {"field": "t"}, "field must name a column", "[1]"),
    "utf-16": ("Über alles".encode("utf-16"), {}, "UTF-8", "read_text('utf-16')", "'utf-8')"),
    "cp1252": ("Über alles".encode("cp1252"), {}, "UTF-8", "read_text('cp1252')", "'utf-8')"),
    "binary": (b"PK\x03\x04 one\0two", {}, "binary", "save its text"),
    "pdf": (b"%PDF-1.7 one two three", {}, "binary", "save its text"),
}


@pytest.mark.parametrize("case", FILES)
def test_files_that_would_be_misread(case, tmp_path):
    content, options, *words = FILES[case]
    path = tmp_path / "x.txt"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    bad(lambda: targets.text(path, **options), *words)
    if case != "chinese":  # paragraphs are not cut into words
        bad(lambda: targets.paragraphs(path, **options), *words)
    if "by" not in options and "two documents" not in words[0] and "found one" not in words[0]:
        bad(lambda: targets.words(1, path, **options), *words)


def test_tables(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("id,text\n1,one two\n2,three, four\n")
    bad(lambda: targets.words(1, path), "field must name the column", "x.csv", "'id,text")
    bad(lambda: targets.words(1, path, field="txt"), "field", "'txt'", "record 1", "'text'")
    bad(lambda: targets.words(1, path, field="text"), "column of text", "record 2", "four")
    bad(lambda: targets.words(1, path, field=3), "field must be the name", "3", error=TypeError)
    bad(lambda: targets.text(field="text"), "files must be tables", "'text'")
    bad(lambda: targets.text(by="page"), "by must be one of", "'page'")
    bad(lambda: targets.text(cut="letters"), "cut must be one of", "'letters'")
    path.write_text("text\n" + "a" * 200_000)
    bad(lambda: targets.words(1, path, field="text"), "x.csv", "field larger than")


def test_a_document_longer_than_the_loop_writes():
    long = targets.Text(("<end>", "a"), [1] * 20_000 + [0, 1, 0], "a novel")
    words = ("target", "at most 3,125 tokens", "20,001", "novel", "by='paragraph'", "unit='tokens'")
    bad(lambda: c.iterate(c.NextToken(), long, PLAN), *words)
    assert c.NextToken(unit="tokens").source(long)
    assert c.NextToken().source(targets.Text(("<end>", "a"), [1] * 3_124 + [0], "a chapter"))


def test_plot_and_book():
    bad(lambda: plot.simulated([1.0, 2.0]), "values must have shape (T + 1, R)", "(2,)")
    bad(lambda: plot.simulated([[1.0], [2.0]]), "values must have shape", "(2, 1)")
    bad(lambda: plot.simulated([[1.0, NAN]]), "values must be finite")
    bad(lambda: plot.simulated([[1.0, 2.0]], band="sd"), "band must be one of", "'sd'")
    bad(lambda: plot.theory([[1.0]]), "curve must have shape (T + 1,)", "(1, 1)")
    bad(lambda: plot.level([1, 2]), "height must be one number", "(2,)")
    bad(lambda: plot.label(3, 0, 0), "text must be a str", "3", error=TypeError)
    bad(lambda: book.check([1.0], [1.0]), "samples must have shape", "(1,)")
    bad(lambda: book.check([[1.0, 2.0]], [1.0, 2.0]), "theory must have shape (1,)", "(2,)")
    bad(lambda: book.check([[1.0, 2.0]], [1.0], at=[1]), "at must be a list", "[0, 0]", "[1]")
    bad(lambda: book.check([[1.0, 2.0]], [1.0], at=[]), "at must be", "[]")
    bad(lambda: book.check([[1.0, 2.0]], [1.0], at=1), "at must be", "1")
    bad(lambda: book.check([[1.0, 2.0]], [1.0], at=["a"]), "at must be", error=TypeError)
    bad(lambda: book.check([[1.0, 2.0]], [1.0], at=[0], false_alarm=2), "false_alarm must", "2")
    bad(lambda: book.check([[1.0, 2.0]], [1.0], at=[0], planted=-0.5), "planted must", "-0.5")
    bad(lambda: plot.theory([]), "curve must have shape (T + 1,)", "(0,)")
    bad(lambda: plot.theory([1.0], name=3), "name must be a str", "3", error=TypeError)
    bad(lambda: plot.theory([1.0], ax=3), "ax must be matplotlib Axes", "3", error=TypeError)
    bad(lambda: plot.label("a", NAN, 1), "x must be finite", "nan")
    bad(lambda: plot.label("a", 1, 1, offset=3), "offset must be a pair", "()")
    assert plot.theory([1.0, 2.0], lw=2).lines[-1].get_linewidth() == 2


def test_no_number_slips_through():
    """Masks, hidden booleans, integers beyond float64, shares that round away."""
    bad(lambda: c.mixture(10, np.ma.masked, 2), "alpha", "without a mask", error=TypeError)
    bad(lambda: c.replace([10, True, 10], 2), "n must be real numbers", "True", error=TypeError)
    bad(lambda: c.replace(2**53 + 1, 2), "n must be", "2**53", str(2**53 + 1))
    bad(lambda: c.replace(10**30, 2), "n must be numbers below 2**63")
    bad(lambda: c.mixture(10, 1e-12, 2, mixing="stratified"), "alpha * n must be whole")
    bad(lambda: c.mixture(10, 1 - 1e-12, 2, mixing="stratified"), "alpha * n must be whole")
    bad(lambda: c.mixture(c.power(1, 400), 0.5, 10), "n(t) must be finite", "inf")
    bad(lambda: c.mixture(10, lambda t: 2 / t, 3), "found alpha(1) = 2.0")
    masked = np.ma.array(P, mask=[True, False])
    bad(lambda: c.simulate(c.Categorical(), masked, PLAN), "target", "mask", error=TypeError)
    for long in (["a"] * 10**5, lambda t: None):
        with pytest.raises(TypeError) as caught:
            c.replace(long, 10**5 - 1)
        assert len(str(caught.value)) < 300


def test_what_a_model_or_target_returns_is_checked():
    model = c.Categorical()

    class One:
        def sample(self, n, rng):
            return model.sample(np.array([P]), n[:1], rng)

    loop = c.iterate(model, One(), PLAN, replications=4)
    bad(lambda: next(loop), "model and target must give finite parameters of shape (4, ...)")
    theta, n, rng = np.array([[0.5, 0.4]]), np.array([3]), np.random.default_rng(1)
    bad(lambda: model.sample(theta, n, rng), "theta must be probabilities")
    data = model.sample(np.array([P]), n, rng)
    bad(lambda: model.pool(data, data, 2), "share must lie in [0, 1]", "2")
    bad(lambda: model.sample_mixture(np.array([P]), P, 2, n, rng), "alpha must lie in [0, 1]", "2")
    bad(lambda: c.Categorical(add=1e300), "add must be at most 2**53", "1e+300")
    bad(lambda: c.simulate(model, One, PLAN), "target must be", error=TypeError)
    masked = {"x": lambda theta: np.ma.array(theta[:, 0])}
    bad(lambda: c.simulate(model, P, PLAN, record=masked), "record['x']", "mask", error=TypeError)


FILTER, POOL = c.filtered(10, 0.5, 3), c.accumulate(10, 3, alpha=0.5)
LONG, HUGE = c.replace(10, 20_001), c.replace(10_000, 3)
A, B, D = asymptotics, bounds, design
THEORY = {
    "founders labels": (lambda: exact.founders(FILTER), "plan must mix", "without labels"),
    "founders fixed": (lambda: exact.founders(c.anchored(9, 0.5, 2)), "plan must mix fresh"),
    "founders stratified": (
        lambda: exact.founders(c.mixture(10, 0.5, 2, mixing="stratified")),
        "plan must mix fresh real data, iid",
        "stratified",
    ),
    "founders gain": (lambda: exact.founders(POOL), "plan must forget", "gain", "0.25"),
    "founders subsample": (lambda: exact.founders(c.subsampled(9, 2)), "subsample=False"),
    "founders large": (
        lambda: exact.founders(HUGE),
        "n must be at most 4096",
        "10000",
        "asymptotics.founders",
    ),
    "missing large": (lambda: exact.missing(P, HUGE), "n must be at most 4096", "10000"),
    "missing t": (lambda: exact.missing(P, PLAN, 4), "t must lie in [-4, 3]", "4"),
    "missing p": (lambda: exact.missing([0.5, 0.6], PLAN), "p must sum to 1"),
    "coverage large": (lambda: exact.coverage(P, HUGE), "4096", "asymptotics.coverage"),
    "coverage labels": (lambda: exact.coverage(P, FILTER), "plan must mix", "labels"),
    "token_law share": (lambda: exact.token_law(1.5, PLAN), "p_k must lie in [0, 1]", "1.5"),
    "token_law array": (lambda: exact.token_law(P, PLAN), "p_k must be one number", "(2,)"),
    "token_law large": (lambda: list(exact.token_law(0.5, HUGE)), "counts of the token"),
    "phase a": (lambda: A.phase(-1, 0), "a must be at least 0", "-1"),
    "phase b": (lambda: A.phase(0, NAN), "b must be finite", "nan"),
    "phase c": (lambda: A.phase(1, 1, 0), "c must be above 0", "0"),
    "phase c infinite": (lambda: A.phase(1, 1, INF), "c must be finite", "inf"),
    "phase n": (lambda: A.phase(1, 1, n=2.5), "n must be a whole number", "2.5"),
    "phase n0": (lambda: A.phase(1, 1, n0=0), "n0 must be a whole number", "0"),
    "tracking labels": (lambda: A.tracking(FILTER), "plan must mix", "labels"),
    "tracking gain": (lambda: A.tracking(POOL), "plan must forget"),
    "gaussian t": (lambda: A.gaussian(P, PLAN, -5), "t must lie in [-4, 3]", "-5"),
    "dirichlet zero": (lambda: A.dirichlet([1, 0], 0.1, 10), "p must have at least 2", "above 0"),
    "dirichlet alpha": (lambda: A.dirichlet(P, 0, 10), "alpha must be above 0", "0"),
    "dirichlet alpha high": (lambda: A.dirichlet(P, 1.1, 10), "alpha must lie in (0, 1]", "1.1"),
    "dirichlet n": (lambda: A.dirichlet(P, 0.1, 1), "n must be", "at least 2", "1"),
    "extinction m": (lambda: A.extinction(-1, 3), "m must be at least 0", "-1"),
    "extinction t": (lambda: A.extinction(1, 0), "t must be whole", "at least 1", "0"),
    "extinction shapes": (lambda: A.extinction([1, 2], [1, 2, 3]), "must broadcast", "(2,)"),
    "forgetting m": (lambda: A.forgetting_time(0), "m must be above 0", "0"),
    "forgetting m large": (lambda: A.forgetting_time(1e13), "at most 1e12", "10000000000000.0"),
    "forgetting q": (lambda: A.forgetting_time(1, 1), "q must lie in (0, 1)", "1"),
    "mean field long": (lambda: A.founders(LONG), "at most 20000 generations", "20001"),
    "mean field gain": (lambda: A.coverage(P, POOL), "plan must forget"),
    "variance filter": (lambda: B.variance(FILTER), "batches of known size", "filter"),
    "deviation x": (lambda: B.deviation(0, PLAN), "x must be above 0", "0"),
    "deviation spread": (lambda: B.deviation(1, PLAN, spread=-1), "spread must be above 0", "-1"),
    "radius delta": (lambda: B.radius(0, PLAN), "delta must lie in (0, 1)", "0"),
    "anytime delta": (lambda: B.radius_anytime(1.0, PLAN), "delta must lie in (0, 1)", "1.0"),
    "kl add": (lambda: B.kl(P, PLAN, add=0), "add must lie in", "0"),
    "kl labels": (lambda: B.kl(P, FILTER), "plan must mix", "labels"),
    "kl add small": (lambda: B.kl(P, PLAN, add=1e-320), "add must lie in [1e-15, 2**53]"),
    "kl add large": (lambda: B.kl(P, PLAN, add=1e17), "add must lie in [1e-15, 2**53]", "1e+17"),
    "forgetting late": (lambda: A.forgetting_time(1e12, 0.9999), "q must be low enough", "0.9999"),
    "allocate large": (
        lambda: D.allocate(2**53, 0.01, 3),
        "total must be at most 2**52",
        "90071992",
    ),
    "allocate rare": (
        lambda: D.allocate(10, 1e-20, 3, of="real"),
        "total must be at most 2**52",
        "size",
    ),
    "allocate few": (lambda: D.allocate(2, 0.1, 10, of="real"), "total must be at least 2.0", "2"),
    "distinct fresh": (lambda: B.distinct(PLAN), "no fresh real data", "0.5"),
    "l1 p": (lambda: B.l1([[0.5, 0.5]], PLAN), "p must have exactly 1 axis", "(1, 2)"),
    "allocate total": (lambda: D.allocate(3, 0.5, 3), "total must be at least 4", "3"),
    "allocate fraction": (lambda: D.allocate(10.5, 0.5, 3), "total must be a whole", "10.5"),
    "allocate real": (lambda: D.allocate(9, 0, 3, of="real"), "alpha must be above 0", "0 at 1"),
    "allocate of": (lambda: D.allocate(9, 0.5, 3, of="fake"), "of must be one of", "'fake'"),
    "allocate T": (lambda: D.allocate(9, 0.5, 0), "generations must be", "at least 1", "0"),
    "growth": (lambda: D.critical_growth(1.2), "alpha must lie in [0, 1]", "1.2"),
    "fresh rho": (lambda: D.fresh_needed(0.001, 100), "rho must lie in [1/n, 1]", "0.001", "100"),
    "fresh rho high": (lambda: D.fresh_needed(1.1, 100), "rho must lie in [1/n, 1]", "1.1"),
    "samples rho": (lambda: D.samples_needed(0, 0.1), "rho must be above 0", "found 0"),
    "samples alpha": (lambda: D.samples_needed(0.1, 0), "alpha must be above 0", "found 0"),
    "samples huge": (lambda: D.samples_needed(1e-300, 0.1), "rho must be larger", "1e-300"),
    "fresh shapes": (lambda: D.fresh_needed([0.5, 0.6], [9, 9, 9]), "must broadcast", "(3,)"),
    "subsample gain": (
        lambda: c.Plan([4, 4], [1, 0], gain=[1, 0.4], subsample=True),
        "gain must be n_t / (n_0 + ... + n_t)",
        "gain[1] = 0.4",
    ),
    "subsample fixed": (
        lambda: c.Plan([4, 4], [1, 0], gain=[1, 0.5], subsample=True, real="fixed"),
        "subsample needs fresh real data",
        "'fixed'",
    ),
    "subsample many": (
        lambda: c.simulate(c.Categorical(), P, c.subsampled(10**9, 2), rng=1),
        "n must add up to less than 1e+09",
        "2000000000",
    ),
}
THEORY_TYPES = {
    "plan": (lambda: exact.founders("loop"), "plan must be a collapse.Plan", "'loop'"),
    "plan variance": (lambda: B.variance(None), "plan must be a collapse.Plan", "None"),
    "plan anytime": (lambda: B.radius_anytime(0.1, 3), "plan must be a collapse.Plan", "3"),
    "plan gaussian": (lambda: A.gaussian(P, 3), "plan must be a collapse.Plan", "3"),
    "missing t": (lambda: exact.missing(P, PLAN, 1.5), "t must be a whole number", "1.5"),
    "token_law share": (lambda: exact.token_law("a", PLAN), "p_k must be real numbers", "'a'"),
    "allocate of": (lambda: D.allocate(9, 0.5, 3, of=None), "of must be one of", "None"),
    "subsample": (
        lambda: c.Plan([4, 4], [1, 0], gain=[1, 0.5], subsample=1),
        "subsample must be True or False",
        "1",
    ),
}


@pytest.mark.parametrize("case", THEORY)
def test_theory_refuses_values(case):
    call, *words = THEORY[case]
    bad(call, *words)


@pytest.mark.parametrize("case", THEORY_TYPES)
def test_theory_refuses_types(case):
    call, *words = THEORY_TYPES[case]
    bad(call, *words, error=TypeError)


def test_a_model_without_subsample_is_refused():
    class Bare:
        sample = pool = fit = parameters = lambda *_: None

    bad(
        lambda: c.iterate(Bare(), Bare(), c.subsampled(9, 2)),
        "model needs a method subsample",
        error=TypeError,
    )


HISTORY = [[0.5, 0.5]] * 3, [[0.5, 0.5]] * 2, 10
ROWS = [np.eye(6)[:, :3] + i for i in range(3)]  # new, real, written
RECOVER = {
    "one batch": (lambda: recover.share([P], np.empty((0, 2)), 10), "y must hold two batches"),
    "x too long": (lambda: recover.share([P] * 3, [P] * 3, 10), "x must hold one model less"),
    "x no law": (lambda: recover.share([P] * 3, [[0.5, 0.4]] * 2, 10), "x must sum to 1", "0.9"),
    "y no law": (lambda: recover.readout([[2, 1]] * 3, [P] * 2, 10, 0.5), "y must sum to 1"),
    "sizes": (lambda: recover.share([P] * 3, [P] * 2, [9, 9]), "n must be", "length", "3", "(2,)"),
    "one token": (lambda: recover.share([[1.0]] * 3, [[1.0]] * 2, 10), "y must have two tokens"),
    "batch 0": (lambda: recover.readout(*HISTORY, [0.5] * 3), "alpha[0] must be 1", "0.5"),
    "alpha": (lambda: recover.readout(*HISTORY, 1.5), "alpha must lie in [0, 1]", "1.5"),
    "rho": (lambda: recover.readout(*HISTORY, 0.5, rho=[0.1] * 3), "rho must have shape (2,)"),
    "rho above 1": (lambda: recover.readout(*HISTORY, 0.5, rho=[0.1, 2]), "rho must lie", "2"),
    "level": (lambda: recover.share(*HISTORY, level=95), "level must lie in (0, 1)", "95"),
    "simplex": (lambda: recover.simplex(0.5), "v must have tokens", "()"),
    "two batches": (lambda: recover.reuse([P, P]), "y must hold three batches", "(2, 2)"),
    "permutations": (lambda: recover.reuse([P] * 4, permutations=3), "permutations must", "19"),
    "one score": (lambda: recover.share_of([1], [1, 2], [3, 4]), "new must be two scores", "(1,)"),
    "score nan": (lambda: recover.share_of([1, NAN], [1, 2], [3, 4]), "new must be finite", "nan"),
    "score rows": (lambda: recover.share_of(*ROWS), "new must be two scores", "(6, 3)"),
    "read twice": (lambda: recover.share_of(P, P, [1, 2]), "new and real must be different"),
    "a part of it": (
        lambda: recover.share_of(ROWS[0][:, 0], ROWS[0][:4, 0], [1, 2]), "new and real", "split",
    ),
    "tokens": (lambda: recover.score([1, 2], [1, 2, 3]), "the same tokens", "2 and 3"),
    "no counts": (lambda: recover.score([1, -2], [1, 2]), "real must be counts", "-2"),
    "no tokens": (lambda: recover.score([1, 2], [0, 0]), "written must have a token"),
    "columns": (lambda: recover.cross_fit(ROWS[0], ROWS[1], ROWS[2][:, :2]), "columns", "3, 2]"),
    "folds": (lambda: recover.cross_fit(*ROWS, folds=7), "folds must be at most", "6", "7"),
    "one fold": (lambda: recover.cross_fit(*ROWS, folds=1), "folds must be a whole", "1"),
    "rows": (lambda: recover.cross_fit(np.ones(3), *ROWS[1:]), "new must be documents", "(3,)"),
    "same rows": (lambda: recover.cross_fit(ROWS[0], ROWS[1], ROWS[1]), "real and written", "same"),
    "count": (lambda: recover.canary(11, 10, 0.5), "count must be at most n = 10", "11"),
    "rate": (lambda: recover.canary(1, 10, 1.5), "rate must lie in (0, 1]", "1.5"),
    "rate none": (lambda: recover.canary(1, 10, 0), "rate must be above 0", "0"),
    "design rate": (lambda: design.canary(0.5, 0.1, rate=2), "rate must lie in (0, 1]", "2"),
    "design se": (lambda: design.canary(0.5, 0, rate=0.5), "se must be above 0", "0"),
    "design too much": (lambda: design.canary(0.5, 1e-9, rate=0.5), "se must be larger"),
}  # fmt: skip


@pytest.mark.parametrize("case", RECOVER)
def test_recover(case):
    call, *words = RECOVER[case]
    bad(call, *words)


def test_recover_refuses_types():
    bad(lambda: recover.readout(*HISTORY, 0.5, project=1), "project must be True", error=TypeError)
    bad(lambda: recover.canary("1", 10, 0.5), "count must be a whole number", error=TypeError)
    bad(lambda: recover.share_of(["a", "b"], [1, 2], [3, 4]), "new must be real", error=TypeError)
    bad(lambda: recover.reuse([P] * 4, rng="1"), "rng must be", error=TypeError)
