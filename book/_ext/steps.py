"""What every step of the driver needs: say it, time it, run it, stop with advice.

The standard library only: it runs before anything is installed.
"""

import errno
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "_build"
VENV = ROOT / ".venv"
BIN, PACKAGES = (  # bin and lib/python3.x/site-packages, or what Windows calls them
    Path(sysconfig.get_path(name, "venv", {"base": str(VENV), "platbase": str(VENV)}))
    for name in ("scripts", "purelib")
)
STRAY = re.compile(r"PYTHON(?!UNBUFFERED)|JUPYTER_|PYTEST_|MPL|MATPLOTLIBRC")
BLAMELESS = {  # by number of error
    errno.EACCES: "see to it that this user may write there, or copy the book to where he may",
    errno.EROFS: "copy the book to where it can be written",
    errno.ENOSPC: "free some space on the disk",
    errno.EDQUOT: "free some space on the disk",
    errno.ENOMEM: "close other programs",
}
BLAMELESS[errno.EPERM] = BLAMELESS[errno.EACCES]


class Stop(Exception):
    """Nothing more can be done; the text says what the reader should do."""


def environment():
    # Kernels and packages of this environment only, whatever else the machine offers. Without
    # PYTHONWARNINGS, PYTHONOPTIMIZE (no assert would fail), MPLBACKEND (no figures) and the like.
    env = {k: v for k, v in os.environ.items() if not STRAY.match(k)}
    env.update(JUPYTER_PREFER_ENV_PATH="1", JUPYTER_PLATFORM_DIRS="1", PYTHONUNBUFFERED="1")
    # No personal start-up files or figure styles either: the same numbers and figures everywhere.
    env.update(IPYTHONDIR=str(VENV / "ipython"), MPLCONFIGDIR=str(VENV / "matplotlib"))
    # Notebooks run two at a time: one core each, and sums in the same order on every machine.
    env.update(OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1", MKL_NUM_THREADS="1")
    env.setdefault("SOURCE_DATE_EPOCH", "0")  # no dates inside figures: same code, same files
    return env


class step:
    """Say what is being done, then how long it took. Used as `with step("..."):`."""

    def __init__(self, text, end=" "):
        print(f"{text} ...", end=end, flush=True)
        self.end, self.text = end, text

    def __enter__(self):
        self.start = time.monotonic()
        return self

    def __exit__(self, kind, *_):
        said = "failed" if kind else f"{time.monotonic() - self.start:.1f} s"
        print(said if self.end == " " else f"{self.text}: {said}", flush=True)


def cause(text):
    """What went wrong and what to do, where it is neither a chapter's nor a package's fault."""
    for found in re.finditer(r"\[Errno (\d+)\][^\n]*", text):
        if int(found[1]) in BLAMELESS:
            return f"{found[0].strip()}: {BLAMELESS[int(found[1])]}"
    free = shutil.disk_usage(ROOT).free >> 20  # tools may not say that it was too little
    return f"{free} MB are left: {BLAMELESS[errno.ENOSPC]}" if free < 50 else ""


def killed(code):
    """Who ended a process that did not end itself."""
    name = signal.Signals(-code).name if code < 0 else ""
    return f"ended by {name}" + (", most often for want of memory" if name == "SIGKILL" else "")


def quietly(command, log, advice, **env):
    """Run with the output in a log; show its end only when the command fails."""
    log = BUILD / "logs" / log
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as out:
        code = subprocess.call(
            [str(part) for part in command], cwd=ROOT, env=environment() | env,
            stdout=out, stderr=subprocess.STDOUT,
        )  # fmt: skip
    if code:
        lines = uncoloured(log.read_text(errors="replace")).splitlines()
        wrong = [x for x in lines if re.search(r"WARNING|ERROR|CRITICAL|Exception|Error:", x)]
        print("\n" + "\n".join(dict.fromkeys(wrong[:30] + lines[-12:])))
        ours = cause("\n".join(wrong + lines[-12:])) or (killed(code) if code < 0 else "")
        raise Stop(f"{ours}; then run the same command again" if ours else advice)


def aloud(command):
    """Run and pass the output on; give back the exit status and the lines, the closing one last."""
    command = [sys.executable, "-m", *map(str, command)]
    terminal = sys.stdout.isatty()
    if terminal:
        command.append("--color=yes")
    lines = []
    with subprocess.Popen(
        command, cwd=ROOT, env=environment(), text=True, errors="replace",
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    ) as process:  # fmt: skip
        for line in process.stdout:
            print(line if terminal else uncoloured(line), end="", flush=True)
            if line.strip():
                lines.append(uncoloured(line).strip())
    return process.returncode, lines or [""]


def fingerprint(*folders):
    """Hash of every file in the folders, hidden and built ones left out."""
    total = hashlib.sha256()
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            inside = path.relative_to(folder).parts
            made = any(p[0] == "." or p in ("_build", "__pycache__") for p in inside)
            if path.is_file() and not made and not any(p.endswith(".egg-info") for p in inside):
                # Sphinx knows some checksums of style sheets (?v=...) from the second build on only
                text = re.sub(rb"\?v=[0-9a-f]+", b"", path.read_bytes())
                total.update(str(path).encode() + b"\0" + text + b"\0")
    return total.hexdigest()


def uncoloured(text):
    return re.sub(r"\x1b\[[\d;]*m", "", text)
