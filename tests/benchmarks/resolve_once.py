"""Resolves requirements in one process, as `bench_resolve` measures it.

    python -m benchmarks.resolve_once STORE INDEX PYTHON FILE

Prints the versions. Nothing is built but what backends must be asked with.
"""

import sys
from pathlib import Path

from packaging.requirements import Requirement

from fromager.cli.realiser import Means
from fromager.cli.wiring import Wiring
from fromager.derivations import GivenRequirement, RealiseRequest


def main() -> None:
    store, index, python, file = sys.argv[1:]
    flags = {"store": store, "index": (index,), "python": python, "quiet": True}
    wiring = Wiring(flags | {"no_progress": True}, {"HOME": store}, Path(store).parent)
    lines = Path(file).read_text().split()
    given = tuple(GivenRequirement(Requirement(line), file) for line in lines)
    request = RealiseRequest(given)
    with wiring.open_store(create=True) as opened:
        means = Means.of(wiring, opened, request, refresh=False)
        realiser, steps = means.realiser()
        for pin in realiser.resolve(request, steps).pins:
            print(f"{pin.name}=={pin.version}")


if __name__ == "__main__":
    main()
