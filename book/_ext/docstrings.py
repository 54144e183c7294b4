"""The docstrings of `collapse` are written for a terminal; here they are made ready for a page.

Three things read well as text and badly as reStructuredText: a `Source:` line after the sections
(it would be taken for one more exception), an indented formula or diagram, and |x|.
"""

import re


def ready(app, what, name, obj, options, lines):
    source, text = [], []
    for line in lines:
        if source and source[-1].strip():
            source.append(line)
        elif line.startswith("Source:"):
            source.append(line.replace("Source:", "*Source:*"))
        else:
            text.append(line)
    heads = [i for i, line in enumerate(text) if re.fullmatch(r"-{3,}", line.strip())]
    first = heads[0] - 1 if heads else len(text)
    top = []
    for line in text[:first]:
        indented = line.startswith("    ") and not (top and top[-1].startswith("    "))
        if indented and top and not top[-1].strip() and "::" not in "".join(top[-2:]):
            top += ["::", ""]
        top.append(line if line.startswith("    ") or "``" in line else line.replace("|", r"\|"))
    lines[:] = [*top, "", *source, "", *text[first:]]


def setup(app):
    app.connect("autodoc-process-docstring", ready, priority=100)  # before napoleon
    return {"parallel_read_safe": True, "parallel_write_safe": True}
