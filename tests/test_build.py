"""The driver of the book: whoever is at fault is blamed, and what can be mended is."""

import errno
import importlib.metadata
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("nbformat", reason="needs the environment of the book")

import nbformat
from test_book import BOOK, ROOT

sys.path.insert(0, str(BOOK / "_ext"))

import claims
import execute
import steps
from nbformat.v4 import new_code_cell, new_notebook, new_output

SPEC = importlib.util.spec_from_file_location("book_build", BOOK / "build.py")
build = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(build)

STRAYS = {
    "PYTHONWARNINGS": "error", "PYTHONOPTIMIZE": "2", "PYTHONPATH": "/x", "PYTHONHOME": "/x",
    "MPLBACKEND": "Agg", "MPLCONFIGDIR": "/x", "MATPLOTLIBRC": "/x", "PYTEST_ADDOPTS": "--co",
    "JUPYTER_PATH": "/x", "JUPYTER_CONFIG_DIR": "/x", "IPYTHONDIR": "/x",
}  # fmt: skip


# Settings of the caller's


@pytest.mark.parametrize("name", STRAYS)
def test_settings_of_the_caller_change_nothing(monkeypatch, name):
    before = {key: value for key, value in steps.environment().items() if key != name}
    monkeypatch.setenv(name, STRAYS[name])
    after = steps.environment()
    assert after.get(name) != STRAYS[name]
    assert before.items() <= after.items()


def test_the_driver_starts_again_without_them_once(monkeypatch):
    calls = []
    monkeypatch.setattr(build, "VENV", Path(sys.prefix))
    monkeypatch.setattr(build, "REQUIREMENTS", ())
    monkeypatch.setattr(build, "damaged", list)
    monkeypatch.setattr(build.subprocess, "call", lambda command, cwd, env: calls.append(env) or 0)
    monkeypatch.setattr(Path, "read_text", lambda self, *_, **__: Same())
    monkeypatch.setenv("PYTHONWARNINGS", "error")
    with pytest.raises(SystemExit):
        build.set_up()
    assert "PYTHONWARNINGS" not in calls[0]
    monkeypatch.setattr(build.os, "environ", calls[0])
    build.set_up()  # goes on
    assert len(calls) == 1


class Same(str):
    def __eq__(self, other):
        return True

    __hash__ = None


# The environment


def test_the_environment_of_these_tests_is_whole():
    assert build.damaged() == []


@pytest.mark.parametrize("fault", ["missing", "old", "file", "short", "no record"])
def test_a_damaged_distribution_is_seen(monkeypatch, tmp_path, fault):
    real = importlib.metadata.distribution
    there = tmp_path / "there.py"
    there.write_text("1\n" if fault == "short" else "12\n")
    here = SimpleNamespace(locate=lambda: there, size=3, suffix=".py")
    gone = SimpleNamespace(locate=lambda: tmp_path / "gone.py", size=3, suffix=".py")
    compiled = SimpleNamespace(locate=lambda: tmp_path / "x.pyc", size=3, suffix=".pyc")
    files = {"file": [here, gone], "no record": None}.get(fault, [here, compiled])

    def distribution(name):
        if name != "numpy":
            return real(name)
        if fault == "missing":
            raise importlib.metadata.PackageNotFoundError(name)
        return SimpleNamespace(version="1.0" if fault == "old" else real(name).version, files=files)

    monkeypatch.setattr(importlib.metadata, "distribution", distribution)
    assert [pin.partition("==")[0] for pin in build.damaged()] == ["numpy"]


def test_a_damaged_environment_is_mended_then_made_anew_then_given_up(monkeypatch, capsys):
    done = []

    def quietly(command, log, advice, **env):
        done.append([str(part) for part in command])
        if "--force-reinstall" in done[-1] and fails:
            raise build.Stop("pip failed")

    def start():
        done.clear()
        with pytest.raises(SystemExit):
            build.set_up()
        return [word for command in done for word in command if word in ("venv", "-r", "numpy==2")]

    stamp = []
    monkeypatch.setattr(build, "VENV", Path(sys.prefix))
    monkeypatch.setattr(build, "damaged", lambda: ["numpy==2"])
    monkeypatch.setattr(build, "quietly", quietly)
    monkeypatch.setattr(build.subprocess, "call", lambda *_, **__: 0)
    monkeypatch.setattr(Path, "read_text", lambda self, *_, **__: Same())
    monkeypatch.setattr(Path, "unlink", lambda self, **_: stamp.append("gone"))
    monkeypatch.setattr(Path, "write_text", lambda self, text: stamp.append("made"))
    monkeypatch.setattr(Path, "exists", lambda self: True)
    monkeypatch.setenv("BOOK_MENDED", "0")
    fails = False
    assert start() == ["numpy==2"] and stamp == [] and os.environ["BOOK_MENDED"] == "1"
    assert start() == ["venv", "-r", "-r"] and stamp == ["gone", "made"]
    with pytest.raises(build.Stop, match=r"rm -rf \.venv"):
        build.set_up()
    monkeypatch.setenv("BOOK_MENDED", "0")
    fails = True  # pip cannot: made anew at once
    assert start() == ["numpy==2", "venv", "-r", "-r"]
    assert ".venv is damaged: numpy==2" in capsys.readouterr().out


# Who is to blame


def ran(folder, *cells):
    made = new_notebook(cells=[new_code_cell("1 + 1"), *cells])
    (folder / "a").mkdir(exist_ok=True)
    nbformat.write(made, folder / "a" / "b.ipynb")
    return [Path("a/b.ipynb")]


def failing(name, value):
    return new_code_cell("x = f()", outputs=[new_output("error", ename=name, evalue=value)])


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(execute, "RUN", tmp_path)
    monkeypatch.setattr(execute, "no_kernel", lambda: "")
    return tmp_path


def test_the_chapter_is_blamed_for_its_own_faults(folder):
    said = execute.advice_for(ran(folder, failing("AssertionError", "theory")))
    assert said == (
        'code cell 2 ("x = f()") of book/a/b.md failed: AssertionError: theory. '
        "Mend it, then: make page PAGE=a/b"
    )
    late = new_code_cell("wait()", metadata={"execution": {"iopub.status.busy": "now"}})
    said = execute.advice_for(ran(folder, late, new_code_cell("next")))
    assert 'code cell 2 ("wait()")' in said and "more than 300 seconds" in said


@pytest.mark.parametrize("number", steps.BLAMELESS)
def test_no_chapter_is_blamed_for_a_full_disk_or_a_forbidden_folder(folder, number):
    error = OSError(number, os.strerror(number), "/x/y")
    said = execute.advice_for(ran(folder, failing("OSError", str(error))))
    assert "is not to blame" in said and steps.BLAMELESS[number] in said and "/x/y" in said
    assert "Mend it" not in said
    said = execute.advice_for(ran(folder), ["...", f"E   OSError: {error}"])
    assert "no chapter is to blame" in said and steps.BLAMELESS[number] in said
    missing = FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), "data.txt")
    said = execute.advice_for(ran(folder, failing("FileNotFoundError", str(missing))))
    assert "Mend it" in said


def test_no_chapter_is_blamed_for_a_kernel_that_does_not_start(folder, monkeypatch):
    assert "the kernel of book/a/b.md died" in execute.advice_for(ran(folder))
    monkeypatch.setattr(execute, "no_kernel", lambda: "The notebooks' kernel does not start (x)")
    said = execute.advice_for(ran(folder))
    assert said.startswith("no chapter is to blame. The notebooks' kernel does not start (x)")
    assert "AssertionError" in execute.advice_for(ran(folder, failing("AssertionError", "")))


@pytest.mark.parametrize("broken", [False, True])
def test_a_kernel_is_tried(tmp_path, monkeypatch, broken):
    argv = [sys.executable, "-m", "no_such_kernel" if broken else "ipykernel_launcher"]
    place = tmp_path / "kernels" / "python3"
    place.mkdir(parents=True)
    about = {"argv": [*argv, "-f", "{connection_file}"], "display_name": "x", "language": "python"}
    (place / "kernel.json").write_text(json.dumps(about))
    env = steps.environment() | {"JUPYTER_PATH": str(tmp_path), "JUPYTER_PREFER_ENV_PATH": "0"}
    monkeypatch.setattr(execute, "environment", lambda: env)
    said = execute.no_kernel()
    assert ("kernel does not start" in said) == broken, said


@pytest.mark.parametrize(
    ("code", "wanted"),
    [
        ("raise OSError(28, 'No space left on device')", "free some space on the disk"),
        ("raise OSError(30, 'Read-only file system', '/x')", "copy the book"),
        ("import os; os.kill(os.getpid(), 9)", "ended by SIGKILL, most often for want of memory"),
        ("raise ValueError('in a chapter')", "the advice"),
    ],
)
def test_a_step_that_fails_names_the_cause(tmp_path, monkeypatch, capsys, code, wanted):
    monkeypatch.setattr(steps, "BUILD", tmp_path)
    with pytest.raises(steps.Stop, match=wanted) as stop:
        steps.quietly([sys.executable, "-c", code], "x.log", "the advice")
    assert (str(stop.value) == "the advice") == (wanted == "the advice")


def test_a_full_disk_is_seen_where_no_tool_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(steps, "BUILD", tmp_path)
    monkeypatch.setattr(steps.shutil, "disk_usage", lambda _: SimpleNamespace(free=3 << 20))
    with pytest.raises(steps.Stop, match="3 MB are left: free some space on the disk"):
        steps.quietly([sys.executable, "-c", "raise SystemExit(1)"], "x.log", "the advice")


@pytest.mark.parametrize("number", [*steps.BLAMELESS, errno.ENOENT])
def test_the_driver_names_what_it_cannot_write(tmp_path, monkeypatch, number):
    def set_up():
        raise OSError(number, os.strerror(number), "/x/y")

    monkeypatch.setattr(build, "set_up", set_up)
    monkeypatch.setattr(sys, "argv", ["build.py", "book"])
    monkeypatch.setenv("ADVICE", str(tmp_path / "advice"))
    if number == errno.ENOENT:  # a fault of the driver's own is shown as it is
        with pytest.raises(FileNotFoundError):
            build.main()
        return
    assert build.main() == 1
    said = (tmp_path / "advice").read_text()
    assert "/x/y" in said and steps.BLAMELESS[number] in said


def test_an_import_that_no_requirement_brings_is_not_the_environments(tmp_path, monkeypatch):
    monkeypatch.setattr(build, "set_up", lambda: None)
    monkeypatch.setattr(build, "book", lambda _: __import__("no_such_module"))
    monkeypatch.setattr(sys, "argv", ["build.py", "book"])
    monkeypatch.setenv("ADVICE", str(tmp_path / "advice"))
    assert build.main() == 1
    assert "no requirement brings it" in (tmp_path / "advice").read_text()


@pytest.mark.skipif(not shutil.which("make"), reason="needs make")
def test_make_ends_with_advice_where_nothing_can_be_written(tmp_path):
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "_build").write_text("a file where the folder should be: no permission needed")
    done = subprocess.run(["make", "book"], cwd=tmp_path, capture_output=True, text=True,
                          check=False)  # fmt: skip
    assert done.returncode
    assert "_build/advice cannot be written" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stdout + done.stderr


def test_fonts_are_looked_for_before_a_chapter_would_say_so(tmp_path, monkeypatch):
    env = steps.environment() | {"MPLCONFIGDIR": str(tmp_path / "new")}
    monkeypatch.setattr(steps, "environment", lambda: env)
    monkeypatch.setattr(execute, "environment", lambda: env)
    monkeypatch.setattr(steps, "BUILD", tmp_path)
    execute.fonts()
    assert list((tmp_path / "new").glob("fontlist*"))
    monkeypatch.setattr(execute, "quietly", lambda *_: pytest.fail("a second time"))
    execute.fonts()


# Work that need not be done twice


def test_the_claims_are_read_once_and_again_when_they_change(tmp_path, monkeypatch):
    real, read = claims.yaml.safe_load, []
    monkeypatch.setattr(claims.yaml, "safe_load", lambda text: read.append(1) or real(text))
    file = tmp_path / "claims.yml"
    file.write_text("parts: {A: one}\nclaims: []\n")
    for _ in range(3):
        assert claims.load(file) == ({"A": "one"}, {})
    assert len(read) == 1
    file.write_text("parts: {A: two}\nclaims: []\n")
    os.utime(file, ns=(1, 1))
    assert claims.load(file) == ({"A": "two"}, {}) and len(read) == 2


def test_notebooks_take_new_numbers_from_a_run_and_keep_the_others(tmp_path, monkeypatch):
    (tmp_path / "book").mkdir()
    monkeypatch.setattr(execute, "ROOT", tmp_path)
    monkeypatch.setattr(execute, "glued", lambda: {"theory/part": {"part-rest": "7.77"}})
    with pytest.raises(steps.Stop, match="make page PAGE=theory/part"):
        execute.write_notebooks()  # the others of this chapter are not known
    part, keep = (f"notebooks/theory/{name}.ipynb" for name in ("part", "keep"))
    assert "comes to rest at 7.77 times" in (tmp_path / part).read_text("utf-8")
    assert "⟨part-forget⟩" in (tmp_path / part).read_text("utf-8")
    assert (tmp_path / keep).read_bytes() == (ROOT / keep).read_bytes()
    monkeypatch.setattr(execute, "glued", dict)
    execute.write_notebooks()
    for name in (part, keep, "book/numbers.json"):
        assert (tmp_path / name).read_bytes() == (ROOT / name).read_bytes()


def test_figures_are_pdf_only_for_a_pdf_and_results_know(monkeypatch):
    import freshness
    from matplotlib_inline import backend_inline

    from collapse import book

    asked, keys = [], []
    monkeypatch.setattr(
        backend_inline, "set_matplotlib_formats", lambda *formats: asked.append(formats)
    )
    for pdf in ("", "1"):
        monkeypatch.setenv("BOOK_PDF", pdf)
        book.style()
        keys.append(freshness.package_key())
        assert steps.environment()["BOOK_PDF"] == pdf
    assert asked == [("svg",), ("svg", "pdf")] and keys[0] != keys[1]


def test_welcome_leads_to_the_pdf_once_there_is_one(tmp_path, monkeypatch):
    import archive

    welcome = tmp_path / "html" / "book" / "welcome.html"
    welcome.parent.mkdir(parents=True)
    text = f"<p>{archive.PDF}</p>"
    assert archive.PDF in (ROOT / "book" / "welcome.md").read_text(encoding="utf-8")
    welcome.write_text(text)
    app = SimpleNamespace(outdir=tmp_path / "html", builder=SimpleNamespace(name="html"))
    monkeypatch.setattr(archive, "ROOT", tmp_path)
    archive.link_pdf(app, None)
    assert welcome.read_text() == text
    made = tmp_path / "_build" / "latex" / "title.pdf"
    made.parent.mkdir(parents=True)
    made.write_bytes(b"%PDF")
    archive.link_pdf(app, None)
    assert 'href="../book.pdf"' in welcome.read_text()
    assert (tmp_path / "html" / "book.pdf").read_bytes() == b"%PDF"
