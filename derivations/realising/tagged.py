"""Projects whose versions are tags of a repository, as releases for resolution."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from fromager.derivations.errors import SourceError
from fromager.derivations.resolution.candidate import ProjectReleases, Release
from fromager.derivations.sources.direct import ArchiveSource
from fromager.derivations.sources.tag_rules import Tag, TagProvider
from fromager.derivations.sources.versions_of_tags import version_variables

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from packaging.version import Version

    from fromager.derivations.realising.knowledge import AskReleases
    from fromager.derivations.realising.steps import Steps
    from fromager.derivations.sources.opening import Repositories
    from fromager.derivations.sources.tag_rules import TagRule


@dataclass(frozen=True)
class TaggedProjects:
    """Looks up what rules say of projects."""

    steps: Steps
    repositories: Repositories | None
    """None where none can be asked."""

    def asked_by(
        self, rule_of: Callable[[str], TagRule | None]
    ) -> Callable[[str], AskReleases | None]:
        """What tells the releases of a project, where there is a rule for it."""

        def asked(project: str) -> AskReleases | None:
            rule = rule_of(project)
            return None if rule is None else partial(self.releases, project, rule)

        return asked

    async def releases(self, project: str, rule: TagRule) -> ProjectReleases:
        """The versions of a project, by its normalised name."""
        tags = await self.steps.in_thread(lambda: self._tags(rule), network=True)
        site = ""
        if self.repositories is not None:
            site = self.repositories.forges.forges.site(rule.provider)
        found = tagged_releases(project, rule, tags, site)
        place = f"the tags of {rule.project}"
        return ProjectReleases(project, found, place)

    def _tags(self, rule: TagRule) -> tuple[Tag, ...]:
        if self.repositories is None:
            raise SourceError(f"no repository can be asked here for {rule.project}")
        if rule.provider is not TagProvider.GIT:
            return self.repositories.forges.tags(rule.provider, rule.project)
        prefix = "refs/tags/"
        refs = self.repositories.git.refs(rule.repository(""))
        return tuple(
            Tag(name.removeprefix(prefix), commit)
            for name, commit in sorted(refs.commits.items())
            if name.startswith(prefix)
        )


def tagged_releases(
    project: str, rule: TagRule, tags: Iterable[Tag], site: str
) -> tuple[Release, ...]:
    """One release for each version that a tag stands for, newest first.

    Of several tags for one version the first by name counts, whatever their order.
    """
    chosen: dict[Version, Tag] = {}
    for tag in sorted(tags, key=lambda tag: tag.name):
        version = rule.version(tag.name)
        if version is not None:
            chosen.setdefault(version, tag)
    return tuple(
        _release(project, rule, chosen[version], version, site)
        for version in sorted(chosen, reverse=True)
    )


def _release(
    project: str, rule: TagRule, tag: Tag, version: Version, site: str
) -> Release:
    source = rule.source(tag, version, site)
    filename, url = f"{project}@{tag.commit[:12]}", ""
    if isinstance(source, ArchiveSource):
        filename, url = source.filename, source.url
    return Release(
        version,
        filename,
        url,
        source=source,
        variables=version_variables(project, version),
    )
