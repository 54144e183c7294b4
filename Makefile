# Every target does its own set-up in .venv and then calls book/build.py, the driver.
#
# A failing recipe makes make print a last line of its own ("*** [book] Error 1"), which hides the
# advice above it. So the work is done by a step that always succeeds and leaves its advice in a
# file, and the target itself then stops make with that advice: make's last line is what to do.

# What a shell may have set to change Python, and would make a chapter fail or lose its checks.
unexport PYTHONPATH PYTHONHOME PYTHONWARNINGS PYTHONOPTIMIZE PYTHONSTARTUP PYTHONINSPECT

ADVICE = _build/advice
can_write = $(shell (mkdir -p $(dir $(ADVICE)) && : > $(ADVICE)) 2>/dev/null && echo yes)
say_it_last = @$(if $(shell cat $(ADVICE)),$(error $(shell cat $(ADVICE))))

help:
	@sed -n 's/^\([a-z]*\):.*## /make \1	/p' Makefile
	@echo 'PYTHON=... behind any of them names the Python (3.11 or newer) to make .venv with'

book: do-book ## set up, run every notebook, build the book, print the address of its first page
	$(say_it_last)

test: do-test ## set up, then everything: package tests, notebooks, strict build, page checks
	$(say_it_last)

pdf: do-pdf ## the book as one PDF, given a LaTeX
	$(say_it_last)

page: do-page ## PAGE=theory/recursion: run this chapter alone and show it in the book
	$(say_it_last)

notebooks: do-notebooks ## write notebooks/*.ipynb anew from the chapters in book/
	$(say_it_last)

lab: do-lab ## open the chapters in JupyterLab
	$(say_it_last)

bench: do-bench ## speed and memory, against other ways to do the same work
	$(say_it_last)

mutants: do-mutants ## plant the faults of tests/mutants.yml, one at a time: do the tests notice?
	$(say_it_last)

clean: ## remove what was built; .venv, the environment, stays
	rm -rf _build .run .pytest_cache .hypothesis .ruff_cache

# The first Python that will do: the one asked for, the one of .venv, then the usual names.
# A half-made .venv has no pip and is passed over; the driver then makes it anew.
do-%: always
	@$(if $(can_write),,$(error $(CURDIR)/$(ADVICE) cannot be written. Free space, or copy this folder to where you may write, then: make $*))\
	reason='No Python found. Install Python 3.11 or newer, or name one: make $* PYTHON=/path/to/python3'; \
	for python in '$(PYTHON)' .venv/bin/python python3 python3.14 python3.13 python3.12 python3.11; do \
	  "$$python" -c '' >/dev/null 2>&1 || continue; \
	  if ! "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then \
	    reason="$$python is older than Python 3.11. Install a newer one, or name it: make $* PYTHON=/path/to/python3"; \
	  elif [ "$$python" = .venv/bin/python ] && ! "$$python" -c 'import pip' 2>/dev/null; then \
	    continue; \
	  elif ! "$$python" -c 'import ensurepip, venv' 2>/dev/null; then \
	    reason="$$python cannot make environments. Install its venv module (Debian, Ubuntu: sudo apt-get install python3-venv), then: make $*"; \
	  else \
	    reason=; break; \
	  fi; \
	  if [ "$$python" = '$(PYTHON)' ]; then break; fi; \
	done; \
	if [ -n '$(PYTHON)' ] && ! '$(PYTHON)' -c '' >/dev/null 2>&1; then \
	  reason='PYTHON=$(PYTHON) does not run. Name a Python 3.11 or newer: make $* PYTHON=/path/to/python3'; \
	fi; \
	if [ -n "$$reason" ]; then \
	  echo "$$reason" > $(ADVICE); \
	else \
	  ADVICE=$(ADVICE) "$$python" book/build.py $* $(PAGE) || [ -s $(ADVICE) ] || \
	  echo 'It stopped before its end; the lines above say why. Mend that, then: make $*$(if $(PAGE), PAGE=$(PAGE))' > $(ADVICE); \
	fi

always:

.PHONY: always help book test pdf page notebooks lab bench mutants clean
