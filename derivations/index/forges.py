"""Tags of repositories as GitHub and GitLab tell them through their REST interfaces.

Pages are followed by the `Link` header (RFC 8288), which both send. Tokens are added by
the transport, for the server that they belong to and no other.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urljoin

from fromager.derivations.errors import (
    AccessDenied,
    NetworkError,
    NotServed,
    RateLimited,
)
from fromager.derivations.index.address import same_origin
from fromager.derivations.sources.direct import COMMIT
from fromager.derivations.sources.tag_rules import Tag, TagProvider

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fromager.derivations.index.transport import Answer

MOST_PAGES: Final = 1000
PER_PAGE: Final = 100
_TOKENS: Final = {
    TagProvider.GITHUB: "GITHUB_TOKEN",
    TagProvider.GITLAB: "GITLAB_PRIVATE_TOKEN (or, in its own runs, CI_JOB_TOKEN)",
}
_REMEDIES: Final[Mapping[type[NetworkError], str]] = {
    AccessDenied: "Set a token that is valid and may read the project",
    NotServed: "Check the project's name; if it is private, set a token that may read it",
    RateLimited: "Try again later; who is known by a token may ask more often: set one",
}
_NEXT: Final = re.compile(r"<([^>]*)>\s*(?:;[^,]*)?;\s*rel=\"?next\"?")


@dataclass(frozen=True, slots=True)
class Forges:
    """Where the forges are."""

    github: str
    """The address of the site, with its repositories."""
    github_api: str
    gitlab: str
    gitlab_api: str

    def site(self, provider: TagProvider) -> str:
        """Where repositories of a provider lie; empty for git itself."""
        match provider:
            case TagProvider.GITHUB:
                return self.github
            case TagProvider.GITLAB:
                return self.gitlab
            case TagProvider.GIT:
                return ""


@dataclass(frozen=True)
class ForgeClient:
    """Asks forges."""

    ask: Callable[[str, Mapping[str, str]], tuple[bytes, Answer]]
    """Makes one request: address and headers to body and answer."""
    forges: Forges

    def tags(self, provider: TagProvider, project: str) -> tuple[Tag, ...]:
        """All tags of a project, in the order of the server.

        Raises:
            NetworkError: the server does not answer, or not with tags.
        """
        if provider is TagProvider.GITHUB:
            path = f"repos/{quote(project)}/tags"
            first = f"{self.forges.github_api.rstrip('/')}/{path}?per_page={PER_PAGE}"
            accept = "application/vnd.github+json"
            headers = {"Accept": accept, "X-GitHub-Api-Version": "2022-11-28"}
        else:
            path = f"projects/{quote(project, safe='')}/repository/tags"
            first = f"{self.forges.gitlab_api.rstrip('/')}/{path}?per_page={PER_PAGE}"
            headers = {"Accept": "application/json"}
        found: list[Tag] = []
        url: str | None = first
        for _ in range(MOST_PAGES):
            if url is None:
                return tuple(found)
            body, answer = self._asked(provider, url, headers)
            found += _tags(body, url)
            url = _next(answer)
        raise NetworkError(first, f"there are more than {MOST_PAGES} pages of tags")

    def _asked(
        self, provider: TagProvider, url: str, headers: Mapping[str, str]
    ) -> tuple[bytes, Answer]:
        try:
            return self.ask(url, headers)
        except (AccessDenied, NotServed, RateLimited) as error:
            hint = f"{_REMEDIES[type(error)]} in {_TOKENS[provider]}"
            raise type(error)(error.url, error.reason, hint=hint) from error


def _tags(body: bytes, url: str) -> list[Tag]:
    try:
        rows = json.loads(body)
        found = []
        for row in rows:
            commit = row["commit"]
            # GitHub says sha, GitLab id.
            identity = commit["sha"] if "sha" in commit else commit["id"]
            if not COMMIT.fullmatch(identity):
                raise ValueError(identity)
            found.append(Tag(str(row["name"]), identity))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise NetworkError(url, "the answer is no list of tags") from error
    return found


def _next(answer: Answer) -> str | None:
    found = _NEXT.search(answer.headers.get("Link") or "")
    if found is None:
        return None
    following: str = urljoin(answer.url, found[1])
    if not same_origin(following, answer.url):
        raise NetworkError(answer.url, "the next page lies on another server")
    return following
