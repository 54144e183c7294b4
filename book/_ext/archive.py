"""The chapters to take home: each page's notebook, and one archive with notebooks, data and wheel.

A notebook has the numbers of the run that the page shows. A test holds it against notebooks/.
"""

import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import plain
from jupyter_cache import get_cache

ROOT = Path(__file__).resolve().parents[2]
NAME = "notebooks.zip"
PDF = '<span class="pdf"></span>'  # on Welcome: filled in where there is one
READ_ME = """When models learn from models: the chapters as notebooks.

    python3 -m venv env                     (Windows: py -m venv env)
    env/bin/pip install jupyterlab          (Windows: env\\Scripts\\pip install jupyterlab)
    env/bin/jupyter lab notebooks           (Windows: env\\Scripts\\jupyter lab notebooks)

The first cell of each notebook installs the package from the wheel that lies here, with the
libraries that the chapter needs, from the package index. Start with notebooks/welcome.ipynb.
The package is imported as `collapse`; the index has another package of that name: do not
install that one.
"""


def numbers(app):
    """Those of the run that the pages show; in a preview other chapters have those they had."""
    cache, found = get_cache(app.config.nb_execution_cache_path), plain.last_numbers()
    for page in plain.chapters():
        try:
            record = cache.match_cache_notebook(plain.read(page))
        except KeyError:  # not run yet
            continue
        found[plain.name_of(page)] = plain.glued(cache.get_cache_bundle(record.pk).nb)
    return found


def wheel(folder):
    """The package as a wheel, built by what is installed here, away from the checkout."""
    source = Path(folder, "source")
    skip = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "collapse", source / "collapse", ignore=skip)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    command = [sys.executable, "-m", "pip", "wheel", source, "--no-deps", "-w", folder]
    command += ["--no-build-isolation", "--disable-pip-version-check"]
    subprocess.run(command, check=True, capture_output=True)
    return next(Path(folder).glob("*.whl"))


def write(app, exception):
    if exception is not None or app.builder.name != "html":
        return
    out = Path(app.outdir)
    with (
        tempfile.TemporaryDirectory() as folder,
        zipfile.ZipFile(out / NAME, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        for name, text in plain.all_plain(numbers=numbers(app)).items():
            place = out / "_sources" / "book" / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text, encoding="utf-8")
            archive.writestr(f"notebooks/{name.as_posix()}", text)
        for path in sorted((ROOT / "book" / "data").iterdir()):
            archive.write(path, f"book/data/{path.name}")
        built = wheel(folder)
        archive.write(built, built.name)
        archive.writestr("README.txt", READ_ME)


def link_pdf(app, exception):
    """Welcome leads to the PDF, once `make pdf` has made one."""
    made = sorted((ROOT / "_build" / "latex").glob("*.pdf"), key=lambda path: path.stat().st_mtime)
    welcome = Path(app.outdir, "book", "welcome.html")
    if exception is not None or app.builder.name != "html" or not made or not welcome.exists():
        return
    shutil.copy(made[-1], Path(app.outdir, "book.pdf"))
    text = welcome.read_text(encoding="utf-8")
    link = 'The whole book is <a href="../book.pdf">one PDF</a>, too.'
    welcome.write_text(text.replace(PDF, link), encoding="utf-8")


def offer(app, pagename, templatename, context, doctree):
    source = ROOT / f"{pagename}.md"
    if source.exists() and plain.is_myst_markdown_notebook(source.read_text(encoding="utf-8")):
        context["ipynb_source"] = f"{pagename}.ipynb"


def setup(app):
    app.connect("html-page-context", offer, priority=100)
    app.connect("build-finished", write)
    app.connect("build-finished", link_pdf)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
