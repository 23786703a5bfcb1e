"""Read variables of a .mat file from standard input and print them as JSON.

:mod:`kc.datasets.mat` runs this file by its path in a separate process, because a damaged file
makes SciPy's reader crash, loop, or allocate any memory. It imports nothing of kc, and no torch.
"""

import io
import json
import resource
import sys

ROWS = 1 << 20
"""Longest list that is read; the official ones have at most 20,580 rows."""


def limit(kind: int, most: int) -> None:
    """Limit a resource of this process, as far as the system allows."""
    _, hard = resource.getrlimit(kind)
    if hard != resource.RLIM_INFINITY:
        most = min(most, hard)
    try:
        resource.setrlimit(kind, (most, hard))
    except (OSError, ValueError):  # macOS cannot limit the address space
        return


def answer(content: bytes, variables: list[str]) -> str:
    """Format the variables as lists; values that JSON cannot hold become null."""
    import numpy as np
    from scipy.io import loadmat

    found = loadmat(io.BytesIO(content), squeeze_me=True, variable_names=variables)
    lists = {name: np.atleast_1d(found.get(name, ())) for name in variables}
    most = max(values.size for values in lists.values())
    if most > ROWS:
        raise ValueError(f"{most:,} rows, more than {ROWS:,}")
    return json.dumps(
        {name: values.tolist() for name, values in lists.items()}, default=lambda _: None
    )


if __name__ == "__main__":
    limit(resource.RLIMIT_CORE, 0)
    limit(resource.RLIMIT_CPU, int(sys.argv[1]))
    limit(resource.RLIMIT_AS, int(sys.argv[2]))
    sys.path += sys.argv[4:]
    sys.stdout.write(answer(sys.stdin.buffer.read(), sys.argv[3].split(",")))
