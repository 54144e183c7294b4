"""README.md: its figure is what the code draws, and its commands are there."""

import re
import runpy
from pathlib import Path

from matplotlib.testing.compare import compare_images

ROOT = Path(__file__).parents[1]


def test_figure_is_what_the_code_draws(tmp_path):
    script = runpy.run_path(str(ROOT / "book" / "readme_figure.py"))
    script["draw"](tmp_path / "new.png")
    # tolerance: another platform's text rendering; a moved curve differs by more
    assert compare_images(script["FILE"], tmp_path / "new.png", tol=3) is None
    assert script["FILE"].relative_to(ROOT).as_posix() in (ROOT / "README.md").read_text()


def test_another_figure_would_be_noticed(tmp_path):
    from matplotlib import image

    script = runpy.run_path(str(ROOT / "book" / "readme_figure.py"))
    pixels = image.imread(script["FILE"])
    pixels[:, 20:] = pixels[:, :-20].copy()
    image.imsave(tmp_path / "moved.png", pixels)
    assert compare_images(script["FILE"], tmp_path / "moved.png", tol=3) is not None


def test_every_make_command_exists():
    makefile = (ROOT / "Makefile").read_text()
    commands = set(re.findall(r"[`$] ?make ([a-z]+)", (ROOT / "README.md").read_text()))
    assert {"book", "test"} <= commands
    for command in commands:
        assert re.search(rf"^{command}:", makefile, re.MULTILINE), f"make {command} is not there"
