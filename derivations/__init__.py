"""What to build, from what and how; and doing it."""
