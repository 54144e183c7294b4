"""The driver behind the Makefile: python book/build.py COMMAND, one of those in `main`.

Run by any Python 3.11 or newer, it makes .venv and starts itself again inside it. The steps are
in book/_ext: plain.py makes the notebooks, execute.py runs them, the book takes their outputs.
"""

import hashlib
import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "_ext"))

from steps import (
    BIN,
    BUILD,
    PACKAGES,
    ROOT,
    VENV,
    Stop,
    aloud,
    cause,
    environment,
    fingerprint,
    quietly,
    step,
)

REQUIREMENTS = ("requirements.txt", "requirements-gpt.txt")
START = float(os.environ.setdefault("BOOK_START", str(time.time())))  # the set-up included


# Set-up


def set_up():
    """Make .venv hold what the requirements say; mend it when it is half-made or damaged."""
    inside = Path(sys.prefix) == VENV
    stamp = VENV / "complete"  # written last, so without it the environment is half-made
    wanted = hashlib.sha256(str(ROOT).encode())
    for name in (*REQUIREMENTS, "pyproject.toml"):
        wanted.update((ROOT / name).read_bytes())
    wanted = wanted.hexdigest()
    python = BIN / ("python.exe" if os.name == "nt" else "python")
    good = stamp.exists() and python.exists() and (inside or PACKAGES.exists())
    good = good and not (inside and importlib.util.find_spec("pip") is None)
    current = good and stamp.read_text() == wanted
    wrong = damaged() if inside and current else []
    tried = int(os.environ.get("BOOK_MENDED", "0"))  # how often in this run
    if wrong:
        print(f"[set-up] .venv is damaged: {', '.join(wrong[:5])}{' ...' * (len(wrong) > 5)}")
        if tried == 2:
            raise Stop("mending .venv did not help (see above): rm -rf .venv, then run the same "
                       "command again")  # fmt: skip
        good = current = tried == 0 and reinstalled(python, wrong)
        os.environ["BOOK_MENDED"] = str(tried + 1)
        inside = False
    if not current:
        if not good:
            with step(f"[set-up] making .venv with Python {sys.version.split()[0]}"):
                base = getattr(sys, "_base_executable", sys.executable)
                quietly(
                    [base, "-m", "venv", "--clear", VENV], "venv.log",
                    "Python could not make .venv (see above); on Debian or Ubuntu: "
                    "sudo apt-get install python3-venv, then run the same command again",
                )  # fmt: skip
        stamp.unlink(missing_ok=True)
        with step("[set-up] installing the pinned requirements (a minute or two)"):
            quietly(
                [python, "-m", "pip", "install", "--disable-pip-version-check", "--no-input",
                 *(part for name in REQUIREMENTS for part in ("-r", name))], "pip.log",
                "pip could not install the requirements (see above and _build/logs/pip.log): "
                "check the network, then run the same command again",
            )  # fmt: skip
        stamp.write_text(wanted)
        inside = False
    if not inside or os.environ != environment():
        again = [str(python), *sys.argv]
        raise SystemExit(subprocess.call(again, cwd=ROOT, env=environment()))


def damaged():
    """The pins that .venv does not hold whole: absent, of another version, with files missing."""
    from pip._vendor.packaging.requirements import Requirement

    lines = [line for name in REQUIREMENTS for line in (ROOT / name).read_text().splitlines()]
    wrong = []
    for line in dict.fromkeys(line.partition(" #")[0].strip() for line in lines):
        if not line or line.startswith("#"):
            continue
        pin = Requirement("collapse-loops" if line == "-e ." else line)
        if pin.marker and not pin.marker.evaluate():
            continue
        try:
            found = importlib.metadata.distribution(pin.name)
        except importlib.metadata.PackageNotFoundError:
            found = None
        if not (found and pin.specifier.contains(found.version, True) and whole(found)):
            wrong.append(line.partition(" ")[0] if line != "-e ." else line)
    return wrong


def whole(found):
    """Every file of a distribution is there, as long as it was."""
    sizes = [(file.locate(), file.size) for file in found.files or () if file.suffix != ".pyc"]
    try:
        return sizes != [] and all(
            os.stat(path).st_size == size or size is None for path, size in sizes
        )
    except OSError:
        return False


def reinstalled(python, wrong):
    """Install these pins anew; False if pip cannot."""
    pins = [part for pin in wrong for part in pin.split(" ")]
    try:
        with step("[set-up] mending it"):
            quietly([python, "-m", "pip", "install", "--disable-pip-version-check", "--no-input",
                     "--force-reinstall", "--no-deps", *pins], "pip.log", "")  # fmt: skip
    except Stop:
        return False
    return True


def build_pages(head, folder=None, strict=True, do_not_run=()):
    command = [BIN / "jupyter-book", "build", "."]
    command += ["-W", "-n", "--keep-going"] if strict else []
    command += ["--path-output", folder] if folder else []
    out = (folder / "_build" if folder else BUILD) / "html"
    with step(f"{head} building the pages" + (" (a warning is a failure)" if strict else "")):
        quietly(
            command, "pages.log",
            "the book does not build: mend what is named above (all of it is in "
            "_build/logs/pages.log), then run the same command again",
            BOOK_DO_NOT_RUN=" ".join(do_not_run),
        )  # fmt: skip
        if "Executing notebook" in (BUILD / "logs" / "pages.log").read_text(errors="replace"):
            raise Stop("the book ran a notebook a second time: build.py and myst-nb read its "
                       "cells differently (see _build/logs/pages.log)")  # fmt: skip
    return out


# Commands


def book(_):
    from execute import run_notebooks

    run_notebooks("[1/2]")
    out = build_pages("[2/2]")
    return f"{took()}. The book is at {(out / 'index.html').as_uri()}"


LATEX = "texlive-latex-recommended texlive-latex-extra texlive-fonts-recommended texlive-xetex"
LATEX += " latexmk fonts-freefont-otf xindy"


def pdf(_):
    missing = [name for name in ("latexmk", "xelatex", "xindy") if shutil.which(name) is None]
    if missing:
        raise Stop(f"make pdf needs {', '.join(missing)}, not found; on Debian or Ubuntu: "
                   f"sudo apt-get install {LATEX}, then: make pdf")  # fmt: skip
    os.environ["BOOK_PDF"] = "1"  # every figure as a PDF, too: all chapters run anew
    from execute import run_notebooks

    run_notebooks("[1/2]")
    with step("[2/2] typesetting"):
        quietly(
            [BIN / "jupyter-book", "build", ".", "--builder", "pdflatex"], "pdf.log",
            "the book cannot be typeset: mend what is named above (all of it is in "
            "_build/logs/pdf.log and _build/latex/*.log), then: make pdf",
        )  # fmt: skip
    made = max((BUILD / "latex").glob("*.pdf"), key=lambda path: path.stat().st_mtime)
    return f"{took()}. The book is at {made.as_uri()}"


def page(names):
    if len(names) != 1:
        raise Stop("name one chapter: make page PAGE=theory/recursion")
    name = re.sub(r"^book/|\.(md|ipynb)$", "", names[0].strip("/"))
    if not (ROOT / "book" / f"{name}.md").exists():
        raise Stop(f"there is no book/{name}.md; a chapter is named like this: PAGE=theory/loop")
    notebook = Path(f"{name}.ipynb")
    from execute import run_notebooks
    from plain import chapters

    only = notebook if notebook.with_suffix(".md") in chapters() else ""
    *_, others = run_notebooks("[1/2]", only=only)
    out = build_pages("[2/2]", BUILD / "page", False, [str(o.with_suffix(".md")) for o in others])
    if others:
        print("A preview: chapters not run yet stand without their results; make book runs them.")
    return f"{took()}. The preview is at {(out / 'book' / f'{name}.html').as_uri()}"


def test(_):
    from execute import run_notebooks, same_notebooks

    same_notebooks()
    units = unless_passed(
        "[1/4] testing the package and the sources of the book",
        ["pytest", "-n", "2", "--ignore", "tests/test_pages.py"],
        fingerprint(ROOT),
        "a test failed, see above; to repeat it: .venv/bin/python -m pytest -x --lf",
    )
    total, ran, _ = run_notebooks("[2/4]")
    html = build_pages("[3/4]")
    pages = unless_passed(
        "[4/4] checking the built pages in a browser",
        ["pytest", "-rs", "tests/test_pages.py"],
        fingerprint(html / "book", ROOT / "book", ROOT / "tests"),
        "a check of the built pages failed, see above; after mending: make test",
    )
    if "skipped" in pages:
        pages += " (the browser's checks need a Chromium, see above)"
    return (
        f"Passed in {took()}. Tests: {units}. Notebooks: {total} ({ran} run now, "
        f"{total - ran} unchanged). Book built without a warning. Pages: {pages}."
    )


def unless_passed(text, command, inputs, advice):
    """Run a stage of the tests, unless it passed whole on the same inputs; its closing line."""
    passed = BUILD / "passed" / hashlib.sha256(text.encode()).hexdigest()[:8]
    inputs += sys.version
    if passed.exists() and passed.read_text().startswith(inputs):
        closing = passed.read_text().removeprefix(inputs)
        print(f"{text}: nothing changed since it passed ({closing}); make clean forgets that")
        return closing
    with step(text, "\n"):
        code, lines = aloud(command)
        closing = lines[-1].strip("= ")
    if code:
        raise Stop(advice)
    if "skipped" not in closing:
        passed.parent.mkdir(parents=True, exist_ok=True)
        passed.write_text(inputs + closing)
    return closing


def notebooks(_):
    from execute import write_notebooks

    return write_notebooks()


def lab(_):
    print('JupyterLab starts in the browser. Open a chapter with right-click, "Open With", '
          '"Notebook"; end with Ctrl-C here.', flush=True)  # fmt: skip
    subprocess.call([sys.executable, "-m", "jupyterlab", "book"], cwd=ROOT, env=environment())
    return "After a change: make page PAGE=..., make notebooks, make test"


def bench(_):
    scripts = sorted((ROOT / "benchmarks").glob("bench_*.py"))
    for script in scripts:
        print(f"{script.relative_to(ROOT)} ...", flush=True)
        if subprocess.call([sys.executable, str(script)], cwd=ROOT, env=environment()):
            raise Stop(f"{script.relative_to(ROOT)} failed, see above")
    return f"{len(scripts)} benchmarks in {took()}"


def mutants(_):
    sys.path.insert(0, str(ROOT / "tests"))
    from mutants import main as plant

    survivors = plant([])
    if survivors:
        raise Stop(f"no test saw {', '.join(survivors)}: mend the test that should have, see "
                   "tests/mutants.yml, then: make mutants")  # fmt: skip
    return f"Every planted fault is caught, {took()}"


def took():
    seconds = round(time.time() - START)
    return f"{seconds} s" if seconds < 100 else f"{seconds // 60} min {seconds % 60} s"


def main():
    commands = {"book": book, "test": test, "pdf": pdf, "page": page, "notebooks": notebooks,
                "lab": lab, "bench": bench, "mutants": mutants}  # fmt: skip
    try:
        if sys.version_info < (3, 11):  # noqa: UP036
            raise Stop("Python 3.11 or newer is needed, this is " + sys.version.split()[0])
        if len(sys.argv) < 2 or sys.argv[1] not in commands:
            raise Stop("python book/build.py " + "|".join(commands))
        set_up()
        try:
            print(commands[sys.argv[1]](sys.argv[2:]))
        except ModuleNotFoundError as error:  # .venv is whole, see above
            raise Stop(f"{error}: no requirement brings it, so requirements.in or the import is "
                       "wrong") from error  # fmt: skip
    except (Stop, OSError) as stop:
        advice = str(stop) if isinstance(stop, Stop) else cause(str(stop))
        if not advice:
            raise
        # make prints the advice itself, last; without make it is printed here
        try:
            Path(os.environ["ADVICE"]).write_text(f"{advice}\n")
        except (KeyError, OSError):
            print(advice)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
