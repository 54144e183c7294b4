"""Plants the faults of mutants.yml, one at a time, and asks whether the tests notice.

``make mutants`` runs all of them, ``python tests/mutants.py ID ...`` some. A fault is planted in a
copy of the package, never in the package itself; the tests named beside it then run on the copy.
It is caught by the first test that fails there and passes on a copy without the fault.
"""

import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
LONGEST = 1200  # seconds of tests for one fault


def load():
    """The list: dicts of id, fault (in words), file, old, new, tests."""
    return yaml.safe_load((ROOT / "tests" / "mutants.yml").read_text(encoding="utf-8"))


def planted(mutant):
    """The text of the file with the fault; it must compile, and `old` be there exactly once."""
    text = (ROOT / mutant["file"]).read_text(encoding="utf-8")
    found = text.count(mutant["old"])
    if found != 1:
        raise ValueError(
            f"{mutant['id']}: old must stand exactly once in {mutant['file']}, found {found} "
            "times: give the fault the text that is there now, or another fault of its kind"
        )
    text = text.replace(mutant["old"], mutant["new"])
    compile(text, mutant["file"], "exec")
    return text


def run(tests, mutant=None):
    """Run tests (arguments of pytest) on a copy: exit status, the tests that failed, the log."""
    with tempfile.TemporaryDirectory(prefix="mutant-") as place:
        folder = Path(place)
        for name in ("collapse", "tests"):
            shutil.copytree(
                ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__")
            )
        shutil.copy(ROOT / "pyproject.toml", folder)
        if mutant is not None:
            (folder / mutant["file"]).write_text(planted(mutant), encoding="utf-8")
        env = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
        env |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(folder)}
        with (folder / "log").open("w") as log:
            try:
                code = subprocess.call(
                    [sys.executable, "-m", "pytest", "-q", *tests],
                    cwd=folder, env=env, stdout=log, stderr=log, timeout=LONGEST,
                )  # fmt: skip
            except subprocess.TimeoutExpired:
                code = 124
        failed = folder / ".pytest_cache" / "v" / "cache" / "lastfailed"
        failed = list(json.loads(failed.read_text())) if failed.exists() else []
        return code, failed, (folder / "log").read_text(errors="replace")


def caught(mutant):
    """The test that failed, or None. What stops the tests from running at all is not caught."""
    code, failed, log = run(["-x", *shlex.split(mutant["tests"])], mutant)
    if code == 1 and "::" in failed[0]:
        return failed[0]
    if code:
        print(f"{mutant['id']}: its tests do not run (pytest: {code})\n{log[-2000:]}")
    return None


def survivors(mutants, say=print):
    """Plant them, two at a time, and say which test catches which; ids of those that nobody saw."""
    catchers = {}

    def one(mutant):
        start = time.monotonic()
        test = catchers[mutant["id"]] = caught(mutant)
        seconds = time.monotonic() - start
        say(f"{mutant['id']:<36} {seconds:4.0f} s  {test or 'SURVIVES: ' + mutant['fault']}")

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(one, mutants))
    # a test that fails without the fault too has seen nothing
    seen, blind = sorted(set(filter(None, catchers.values()))), []
    if seen:
        code, blind, log = run(seen)
        if code not in (0, 1):
            raise RuntimeError(f"the tests do not run (pytest: {code})\n{log[-2000:]}")
    for test in blind:
        say(f"{test} fails without any fault, so that it catches none")
    return [name for name, test in catchers.items() if test is None or test in blind]


def main(names):
    """Plant the named faults, or all."""
    mutants = load()
    unknown = set(names) - {mutant["id"] for mutant in mutants}
    if unknown:
        raise SystemExit(f"no such fault in tests/mutants.yml: {', '.join(sorted(unknown))}")
    mutants = [mutant for mutant in mutants if not names or mutant["id"] in names]
    left = survivors(mutants)
    print(f"{len(mutants) - len(left)} of {len(mutants)} planted faults are caught")
    return left


if __name__ == "__main__":
    raise SystemExit(1 if main(sys.argv[1:]) else 0)
