"""`python -m fromager.cli`."""

from fromager.cli.main import run

run()
