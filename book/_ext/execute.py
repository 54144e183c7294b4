"""The one executor: every notebook is run by nbmake, once, and only when something changed.

What a run gave is kept in _build/executed under a hash of the code cells and of the package. From
there it goes into jupyter-cache, where the book finds it: changing a sentence or a caption runs
nothing, changing the package runs everything.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import plain
from dateutil.parser import isoparse
from freshness import fresh_cache, package_key
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn
from steps import BUILD, ROOT, Stop, aloud, cause, environment, quietly, step

DONE = BUILD / "executed"
TIMEOUT = 300  # seconds a cell
KERNEL = """
from jupyter_client.manager import start_new_kernel
manager, client = start_new_kernel(kernel_name="python3", startup_timeout=60)
client.stop_channels()
manager.shutdown_kernel(now=True)
"""
RUN = ROOT / ".run"  # as deep as book/ and notebooks/; nbmake passes over anything in a _build


def plain_notebooks(numbers=None):
    try:
        return plain.all_plain(numbers=numbers)
    except plain.NotPlain as wrong:
        raise Stop(str(wrong)) from None


def write_notebooks():
    """Write notebooks/, and the numbers of its sentences: new ones of what was run, else the old.

    So a change of a sentence needs no run, and a run of one chapter brings that chapter's numbers.
    """
    numbers = plain.last_numbers()
    chapters = [plain.name_of(page) for page in plain.chapters()]
    fresh = glued()
    numbers = {name: fresh.get(name, numbers.get(name, {})) for name in chapters}
    text = json.dumps(numbers, ensure_ascii=False, indent=1, sort_keys=True) + "\n"
    (ROOT / plain.NUMBERS).write_text(text, encoding="utf-8")
    made = plain_notebooks(numbers)
    folder = ROOT / "notebooks"
    for name in set(plain.committed()) - set(made):
        (folder / name).unlink()
    for name, text in made.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    said = f"notebooks/ holds {len(made)} notebooks, the same as the chapters in book/"
    lacking = [f"{name.with_suffix('')}" for name, text in made.items() if "⟨" in text]
    if lacking:
        raise Stop(f"{said}, but for a number in {', '.join(lacking)} that no run has given yet: "
                   f"make page PAGE={lacking[0]}, then: make notebooks")  # fmt: skip
    return said


def result_of(name, package):
    """A chapter, and the place of what a run of it gives: another one once a cell changed."""
    clean = plain.read(name.with_suffix(".md"))
    sources = [cell.source for cell in plain.code_of(clean)]
    key = hashlib.sha256("\0".join([package, str(name), *sources]).encode()).hexdigest()
    return clean, DONE / f"{key}.ipynb"


def glued():
    """The numbers of every chapter whose cells were run as they stand: chapter -> name -> text."""
    package, found = package_key(), {}
    for page in plain.chapters():
        _, path = result_of(page.with_suffix(".ipynb"), package)
        if path.exists():
            found[plain.name_of(page)] = plain.glued(nbformat.read(path, 4))
    return found


def same_notebooks():
    made, folder = plain_notebooks(), ROOT / "notebooks"
    for name in sorted(set(made) | set(plain.committed())):
        path = folder / name
        if not path.exists() or path.read_text(encoding="utf-8") != made.get(name):
            raise Stop(
                f"notebooks/{name} is not what book/{name.with_suffix('.md')} makes. Change the "
                "chapter, not the notebook (keep a changed copy elsewhere), then: make notebooks"
            )


def run_notebooks(head, only=None):
    """Run what changed, two at a time, and put every result where the book will look for it."""
    made = plain_notebooks()
    if only and only not in made:
        raise Stop(f"there is no chapter with code named {only.with_suffix('')}; there are: "
                   + ", ".join(str(name.with_suffix("")) for name in made))  # fmt: skip
    package = package_key()
    cache = get_cache(str(fresh_cache()))
    result, to_run = {}, []
    for name in made:
        result[name] = result_of(name, package)
        if not result[name][1].exists() and only in (None, name):
            to_run.append(name)
    if not to_run:
        print(f"{head} nothing to run: no code, or unchanged since its last run")
    else:
        shutil.rmtree(RUN, ignore_errors=True)
        for name in to_run:
            (RUN / name).parent.mkdir(parents=True, exist_ok=True)
            (RUN / name).write_text(made[name], encoding="utf-8")
        (RUN / ".gitignore").write_text("*\n")
        fonts()
        with step(f"{head} running {len(to_run)} of {len(made)} notebooks, two at a time", "\n"):
            code, lines = aloud(
                ["pytest", "--nbmake", "--overwrite", "--nbmake-kernel=python3", "-v", "-v",
                 f"--nbmake-timeout={TIMEOUT}", "-n", min(2, len(to_run)), "-p", "no:cacheprovider",
                 *[RUN / name for name in to_run]]
            )  # fmt: skip
            if package_key() != package:
                raise Stop("collapse/ was changed while the notebooks ran; run the command again")
            DONE.mkdir(parents=True, exist_ok=True)
            failed = [name for name in to_run if not keep(RUN / name, result[name][1])]
        if code or failed:
            raise Stop(advice_for(failed, lines))
    if only is None and not os.environ.get("BOOK_PDF"):  # a PDF now and then costs no run more
        for path in set(DONE.glob("*.ipynb")) - {path for _, path in result.values()}:
            path.unlink()
    for name, (clean, path) in result.items():
        if not path.exists():
            continue
        done = nbformat.read(path, 4)
        for cell, ran in zip(plain.code_of(clean), plain.code_of(done), strict=True):
            cell.outputs, cell.execution_count = ran.outputs, ran.execution_count
        clean.metadata["language_info"] = done.metadata["language_info"]
        source = ROOT / "book" / name.with_suffix(".md")
        try:
            cache.match_cache_notebook(clean)
        except KeyError:
            data = {"execution_seconds": done.metadata["seconds"]}
            cache.cache_notebook_bundle(
                CacheBundleIn(clean, str(source), data=data), check_validity=False, overwrite=True
            )
    return len(made), len(to_run), [name for name, (_, path) in result.items() if not path.exists()]


def fonts():
    """Let Matplotlib look for fonts now, or it says on the page of a chapter that it does."""
    if not list(Path(environment()["MPLCONFIGDIR"]).glob("fontlist*")):
        quietly([sys.executable, "-c", "import matplotlib.font_manager"], "fonts.log",
                "Matplotlib cannot be used, see above: rm -rf .venv, then run the same command "
                "again")  # fmt: skip


def keep(ran, place):
    """Keep a notebook that ran to its end, with its run time; False if it did not."""
    notebook = nbformat.read(ran, 4)
    cells = [cell for cell in plain.code_of(notebook) if cell.source.strip()]
    times = [cell.metadata.get("execution", {}).get("shell.execute_reply") for cell in cells]
    wrong = [out for cell in cells for out in cell.outputs if out.output_type == "error"]
    if wrong or not all(times):
        return False
    first = isoparse(cells[0].metadata["execution"]["iopub.status.busy"])
    notebook.metadata["seconds"] = (isoparse(times[-1]) - first).total_seconds()
    nbformat.write(notebook, place)
    return True


def advice_for(failed, lines=()):
    """Which chapter, which cell, what then; or what is no chapter's fault."""
    said, silent = [], []
    for name in failed:
        chapter = name.with_suffix("")
        cells = plain.code_of(nbformat.read(RUN / name, 4))
        times = [c.metadata.get("execution", {}) for c in cells]
        errors = [
            (number, f"{out.ename}: {out.evalue}".splitlines()[0][:150])
            for number, cell in enumerate(cells, 1)
            for out in cell.outputs
            if out.output_type == "error"
        ]
        late = [n for n, time in enumerate(times, 1) if time and "shell.execute_reply" not in time]
        if not errors and not late:
            silent.append(chapter)  # nbmake writes nothing where there is no kernel to ask
            continue
        at, why = errors[-1] if errors else (late[0], f"it ran for more than {TIMEOUT} seconds")
        line = cells[at - 1].source.splitlines()[0][:60]
        where = f'code cell {at} ("{line}") of book/{chapter}.md failed'
        if ours := cause(why):
            return f"{where}, and is not to blame. {ours}; then run the same command again"
        said.append(f"{where}: {why}. Mend it, then: make page PAGE={chapter}")
    if silent or not failed:
        last = next((x for x in reversed(lines) if "Error" in x and not x.startswith("FAILED")), "")
        if trouble := cause("\n".join(lines)) or no_kernel():
            return f"no chapter is to blame. {trouble}; then run the same command again"
        said += [
            f"the kernel of book/{chapter}.md died, most often for want of memory. Close other "
            f"programs or make the chapter smaller, then: make page PAGE={chapter}"
            for chapter in silent
        ]
    return "; ".join(said) or f"nbmake itself failed, see above ({last})"


def no_kernel():
    """Why no kernel starts, and what to do; nothing if one does."""
    asked = subprocess.run(
        [sys.executable, "-c", KERNEL], cwd=ROOT, env=environment(), capture_output=True,
        text=True, errors="replace", check=False,
    )  # fmt: skip
    if not asked.returncode:
        return ""
    why = (asked.stderr.strip() or f"exit status {asked.returncode}").splitlines()[-1][:150]
    return cause(asked.stderr) or (
        f"The notebooks' kernel does not start ({why}): make .venv anew with rm -rf .venv, and "
        "allow connections within this machine"
    )
