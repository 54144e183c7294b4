"""Experiments that are run from a command line, too long for a page."""
