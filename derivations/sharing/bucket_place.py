"""A cache in a bucket that speaks S3, by fsspec's s3fs; an extra of the installation."""

from __future__ import annotations

from importlib import import_module
from typing import IO, TYPE_CHECKING, Any, Final, TypeVar

from fromager.derivations.errors import InputError, NetworkError
from fromager.derivations.index.transport import Transient
from fromager.derivations.sharing.place import Version, read

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from fromager.derivations.index.retries import Retries
    from fromager.derivations.sharing.place import Span

T = TypeVar("T")

_CONFLICT: Final = frozenset({"PreconditionFailed", "ConditionalRequestConflict"})
_TIMES: Final = {"connect_timeout": 30, "read_timeout": 60}


class BucketPlace:
    """A `CachePlace` in a bucket; see there for what holds.

    Keys, regions and other addresses of servers are found as by every tool for S3.
    """

    def __init__(self, url: str, retries: Retries) -> None:
        try:
            library = import_module("s3fs")
            self._errors = import_module("botocore.exceptions")
        except ImportError as error:
            raise InputError(
                f"{url}: {error.name} is not installed",
                hint="Install fromager with its extra: fromager[s3]",
            ) from error
        self._url, self._retries = url, retries
        self._files: Any = library.S3FileSystem(
            use_listings_cache=False,
            skip_instance_cache=True,
            config_kwargs={
                **_TIMES,
                "retries": {"max_attempts": 4, "mode": "standard"},
                "request_checksum_calculation": "when_required",
                "response_checksum_validation": "when_required",
            },
        )

    @property
    def url(self) -> str:
        """See `CachePlace.url`."""
        return self._url

    def copy(
        self, name: str, sink: IO[bytes], limit: int, span: Span | None = None
    ) -> bool:
        """See `CachePlace.copy`."""
        start, length = (0, limit + 1) if span is None else (span.start, span.length)
        if length == 0:
            return True
        content = self._run(
            name,
            lambda path: self._files.cat_file(path, start=start, end=start + length),
        )
        if content is None:
            return False
        if span is None and len(content) > limit:
            raise NetworkError(self._at(name), f"it has more than {limit} bytes")
        sink.write(content)
        return True

    def size(self, name: str) -> int | None:
        """See `CachePlace.size`."""
        found = self._run(name, self._files.info)
        return None if found is None else int(found["size"])

    def write(self, name: str, content: bytes | Path) -> None:
        """See `CachePlace.write`."""
        if isinstance(content, bytes):
            self._run(name, lambda path: self._files.pipe_file(path, content))
        else:
            self._run(name, lambda path: self._files.put_file(str(content), path))

    def version(self, name: str, limit: int) -> Version | None:
        """See `CachePlace.version`."""
        # If it changes in between, the tag is of what was before: no swap then.
        found = self._run(name, self._files.info)
        content = None if found is None else read(self, name, limit)
        if found is None or content is None:
            return None
        return Version(content, found.get("ETag"))

    def swap(self, name: str, content: bytes, seen: Version | None) -> bool:
        """See `CachePlace.swap`."""
        condition = {"IfNoneMatch": "*"}
        if seen is not None:
            condition = {} if seen.tag is None else {"IfMatch": seen.tag}
        bucket, _, key = self._path(name).partition("/")
        try:
            self._run(
                name,
                lambda _: self._files.call_s3(
                    "put_object", Bucket=bucket, Key=key, Body=content, **condition
                ),
            )
        except _Conflict:
            return False
        return True

    def close(self) -> None:
        """See `CachePlace.close`."""

    def _run(self, name: str, work: Callable[[str], T]) -> T | None:
        """What `work` gives for a path, repeated as it may be; None if none is there."""

        def attempt() -> T | None:
            try:
                return work(self._path(name))
            except FileNotFoundError as error:
                if _code(error) == "NoSuchBucket":
                    raise NetworkError(self._url, "there is no such bucket") from error
                return None
            except (self._errors.BotoCoreError, OSError) as error:
                raise self._translated(name, error) from error

        return self._retries.run(self._at(name), attempt)

    def _translated(self, name: str, error: Exception) -> Exception:
        if _code(error) in _CONFLICT:
            return _Conflict()
        if isinstance(error, self._errors.NoCredentialsError):
            hint = "Configure them as for every tool that speaks S3"
            return NetworkError(self._at(name), str(error), hint=hint)
        if isinstance(error, PermissionError):
            hint = "Check the credentials, and what they may do in this bucket"
            return NetworkError(self._at(name), str(error), hint=hint)
        passing = (self._errors.HTTPClientError, TimeoutError, ConnectionError)
        if isinstance(error, passing):
            return Transient(str(error))
        return NetworkError(self._at(name), str(error))

    def _path(self, name: str) -> str:
        return f"{self._url.removeprefix('s3://')}/{name}"

    def _at(self, name: str) -> str:
        return f"{self._url}/{name}"


def _code(error: BaseException) -> str:
    """What the server called the error, where it is the server's."""
    response = getattr(error.__cause__ or error, "response", None)
    found = response.get("Error", {}) if isinstance(response, dict) else {}
    return str(found.get("Code", ""))


class _Conflict(Exception):
    """The file is not as it was seen."""
