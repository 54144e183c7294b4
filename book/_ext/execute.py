"""The one executor: every notebook is run by nbmake, once, and only when something changed.

What a run gave is kept in _build/executed under a hash of the code cells and of the package. From
there it goes into jupyter-cache, where the book finds it: changing a sentence or a caption runs
nothing, changing the package runs everything.
"""

import hashlib
import shutil

import nbformat
import plain
from dateutil.parser import isoparse
from freshness import fresh_cache, package_key
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn
from steps import BUILD, ROOT, Stop, aloud, step

DONE = BUILD / "executed"
RUN = ROOT / ".run"  # as deep as book/ and notebooks/; nbmake passes over anything in a _build


def plain_notebooks():
    try:
        return plain.all_plain()
    except plain.NotPlain as wrong:
        raise Stop(str(wrong)) from None


def write_notebooks():
    made = plain_notebooks()
    folder = ROOT / "notebooks"
    for name in set(plain.committed()) - set(made):
        (folder / name).unlink()
    for name, text in made.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return f"notebooks/ holds {len(made)} notebooks, the same as the chapters in book/"


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
        clean = plain.read(name.with_suffix(".md"))
        sources = [cell.source for cell in clean.cells if cell.cell_type == "code"]
        key = hashlib.sha256("\0".join([package, str(name), *sources]).encode()).hexdigest()
        result[name] = (clean, DONE / f"{key}.ipynb")
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
        with step(f"{head} running {len(to_run)} of {len(made)} notebooks, two at a time", "\n"):
            code, _ = aloud(
                ["pytest", "--nbmake", "--overwrite", "--nbmake-kernel=python3", "-v", "-v",
                 "--nbmake-timeout=300", "-n", min(2, len(to_run)), "-p", "no:cacheprovider",
                 *[RUN / name for name in to_run]]
            )  # fmt: skip
            if package_key() != package:
                raise Stop("collapse/ was changed while the notebooks ran; run the command again")
            DONE.mkdir(parents=True, exist_ok=True)
            failed = [name for name in to_run if not keep(RUN / name, result[name][1])]
        if code or failed:
            raise Stop(advice_for(failed))
    if only is None:
        for path in set(DONE.glob("*.ipynb")) - {path for _, path in result.values()}:
            path.unlink()
    for name, (clean, path) in result.items():
        if not path.exists():
            continue
        done = nbformat.read(path, 4)
        outputs = [cell for cell in done.cells if cell.cell_type == "code"]
        for cell, ran in zip(
            (cell for cell in clean.cells if cell.cell_type == "code"), outputs, strict=True
        ):
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


def keep(ran, place):
    """Keep a notebook that ran to its end, with its run time; False if it did not."""
    notebook = nbformat.read(ran, 4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]
    times = [cell.metadata.get("execution", {}).get("shell.execute_reply") for cell in cells]
    wrong = [out for cell in cells for out in cell.outputs if out.output_type == "error"]
    if wrong or not all(times):
        return False
    first = isoparse(cells[0].metadata["execution"]["iopub.status.busy"])
    notebook.metadata["seconds"] = (isoparse(times[-1]) - first).total_seconds()
    nbformat.write(notebook, place)
    return True


def advice_for(failed):
    """Which chapter, which cell, what then."""
    said = []
    for name in failed:
        chapter = name.with_suffix("")
        cells = [c for c in nbformat.read(RUN / name, 4).cells if c.cell_type == "code"]
        at, why = 0, "it did not finish"
        for number, cell in enumerate(cells, 1):
            for out in cell.outputs:
                if out.output_type == "error":
                    at, why = number, f"{out.ename}: {out.evalue}".splitlines()[0][:150]
        line = cells[at - 1].source.splitlines()[0][:60] if at else ""
        where = f'code cell {at} ("{line}")' if at else "a code cell"
        said.append(f"{where} of book/{chapter}.md failed: {why}. "
                    f"Mend it, then: make page PAGE={chapter}")  # fmt: skip
    return "; ".join(said) or "nbmake itself failed, see above"
