"""Old numbers never survive a change of what computed them.

Two stores outlive a build and know nothing of the package: jupyter-cache compares the code of the
cells only, and Sphinx reads a page again only when the page itself changed. This extension ties
both to one key, a hash of everything a number may depend on besides the cells.
"""

import hashlib
import os
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CACHE = Path("_build/.jupyter_cache")


def package_key(root=ROOT):
    """Hash of the package, the pinned requirements, the book's data and the Python version.

    And of BOOK_PDF: results without it have no figures for a PDF.
    """
    root = Path(root)
    files = [*root.glob("requirements*.txt"), *(root / "collapse").rglob("*.py")]
    files += [path for path in (root / "book" / "data").rglob("*") if path.is_file()]
    total = hashlib.sha256(f"{sys.version} {bool(os.environ.get('BOOK_PDF'))}".encode())
    for path in sorted(files):
        total.update(b"\0" + path.relative_to(root).as_posix().encode() + b"\0")
        total.update(path.read_bytes())
    return total.hexdigest()


def fresh_cache(root=ROOT):
    """The folder of jupyter-cache, emptied first when the package is not the one that filled it."""
    folder = Path(root) / CACHE
    note = folder.with_suffix(".key")
    key = package_key(root)
    if not note.exists() or note.read_text() != key:
        shutil.rmtree(folder, ignore_errors=True)
        folder.parent.mkdir(parents=True, exist_ok=True)
        note.write_text(key)
    return folder


def use_fresh_cache(app, config):
    config.nb_execution_cache_path = str(fresh_cache())
    # `make page` builds without running the other chapters; it names them here.
    config.nb_execution_excludepatterns += os.environ.get("BOOK_DO_NOT_RUN", "").split()


def read_again(app, env, added, changed, removed):
    key = package_key()
    if getattr(env, "package_key", None) == key:
        return []
    env.package_key = key
    return env.found_docs


def repeat_warnings(app, exception):
    """Forget the pages after a warning, so that the next build warns (and fails) again.

    After an exception Sphinx does this itself.
    """
    if app._warncount:
        Path(app.doctreedir, "environment.pickle").unlink(missing_ok=True)


def setup(app):
    app.connect("config-inited", use_fresh_cache, priority=100)
    app.connect("env-get-outdated", read_again)
    app.connect("build-finished", repeat_warnings)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
