"""Index of an archive's members, checks of their names, and the targets of links."""

import posixpath
from collections import Counter
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from kc.errors import ImageError

MOST = 1 << 22
"""Most names that links to folders may add: they could multiply an archive without limit."""
NOWHERE = "links that lead to no file of the archive"


class Indexed[Member]:
    """Members of an archive by name, as :class:`kc.datasets.archive.Files` lists them."""

    def __init__(
        self, where: Path, members: Mapping[str, Member], left_out: Mapping[str, int]
    ) -> None:
        self.where = where
        self.passed: dict[str, int] = {}
        self._members, self._left_out = members, left_out

    def names(self) -> list[str]:
        """List all files, sorted, with ``/`` between folders; links are followed once."""
        return sorted(self._members)

    def left_out(self) -> Counter[str]:
        """Count the members that are not listed, by reason."""
        return Counter(self._left_out)

    def __contains__(self, name: str) -> bool:
        return name in self._members

    def _member(self, name: str) -> Member:
        if name not in self._members:
            raise ImageError(f"{self.where}: has no '{name}'.")
        return self._members[name]


def climbs(name: str) -> bool:
    """Return whether a name is absolute or leaves its folder."""
    path = PurePosixPath(name.replace("\\", "/"))
    return path.is_absolute() or ".." in path.parts or (len(name) > 1 and name[1] == ":")


def plain_name(name: str) -> str:
    """Format a member's name as :meth:`Files.names` lists it: without ``./`` and double slashes."""
    return str(PurePosixPath(name))


def with_links[Member](
    files: Mapping[str, Member], links: Mapping[str, str]
) -> tuple[dict[str, Member], Counter[str]]:
    """Add the targets of symbolic links: a file, or all files below a folder.

    Links are followed once, so no link to another link; nothing outside the archive is read.

    Parameters
    ----------
    files
        Members with content, by name.
    links
        Target of each link as written, by the name of the link.

    Returns
    -------
    tuple
        Files by name, with the links; counts of links that were not followed, by reason.
    """
    found, left_out = dict(files), Counter[str]()
    within: dict[str, list[str]] = {}
    for name in files if links else ():
        for folder in PurePosixPath(name).parents:
            within.setdefault(str(folder), []).append(name)
    for link, written in sorted(links.items()):
        target = posixpath.normpath(posixpath.join(posixpath.dirname(link), written))
        if target in files:
            found.setdefault(link, files[target])
        elif target not in within or f"{link}/".startswith(f"{target}/") or target == ".":
            left_out[NOWHERE] += 1
        elif len(found) + len(within[target]) > len(files) + MOST:
            left_out["links to folders, of too many"] += 1
        else:
            for name in within[target]:
                found.setdefault(f"{link}/{name[len(target) + 1 :]}", files[name])
    return found, left_out
