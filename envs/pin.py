"""Pin the environments to exact builds: ``envs/NAME.PLATFORM.pin.txt``, which Snakemake uses.

Solves each ``envs/*.yaml`` for each platform, as conda does, and writes the packages' addresses
with their checksums. Needs py-rattler and the channel: ``python envs/pin.py``.
"""

import argparse
import asyncio
from collections.abc import Sequence
from pathlib import Path

import yaml
from rattler import (
    BuildString,
    Channel,
    GenericVirtualPackage,
    MatchSpec,
    PackageName,
    RepoDataRecord,
    Version,
    solve,
)

HERE = Path(__file__).parent
PLATFORMS = {
    "linux-64": {"__unix": "0", "__linux": "4.18", "__glibc": "2.28"},
    "linux-aarch64": {"__unix": "0", "__linux": "4.18", "__glibc": "2.28"},
    "osx-arm64": {"__unix": "0", "__osx": "13.0"},
}
"""The oldest systems that the pins support; not those of this machine."""


async def solved(
    spec: Path, channel: Channel, platform: str, cuda: str | None = None
) -> list[RepoDataRecord]:
    """Choose builds of all packages of an environment and of their dependencies."""
    wanted = [
        MatchSpec(line, strict=False) for line in yaml.safe_load(spec.read_text())["dependencies"]
    ]
    there = PLATFORMS[platform] | ({"__cuda": cuda} if cuda and platform == "linux-64" else {})
    system = [
        GenericVirtualPackage(PackageName(name), Version(version), BuildString("0"))
        for name, version in there.items()
    ]
    return await solve([channel], wanted, platforms=[platform, "noarch"], virtual_packages=system)


def explicit(records: Sequence[RepoDataRecord], platform: str) -> str:
    """Format builds as ``conda create --file`` reads them."""
    lines = sorted(f"{record.url}#{record.md5.hex()}" for record in records)
    return "\n".join([f"# platform: {platform}", "@EXPLICIT", *lines]) + "\n"


def main() -> None:
    """Write a file for each environment and platform."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--channel", default="conda-forge")
    parser.add_argument("--cuda", help="driver's CUDA on linux-64; none: builds for the CPU")
    parser.add_argument("--out", type=Path, default=HERE)
    given = parser.parse_args()
    for spec in sorted(HERE.glob("*.yaml")):
        for platform in PLATFORMS:
            records = asyncio.run(solved(spec, Channel(given.channel), platform, given.cuda))
            path = given.out / f"{spec.stem}.{platform}.pin.txt"
            path.write_text(explicit(records, platform))


if __name__ == "__main__":
    main()
