"""`python -m fromager.cli`."""

from fromager.cli.start import run

run()
