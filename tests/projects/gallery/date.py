"""Writes down when it was built, as people write it."""

from datetime import datetime, timezone


def files(name):
    now = datetime.now(timezone.utc)
    return {f"{name}/__init__.py": f'"""Built on {now.isoformat()}."""\n'}
