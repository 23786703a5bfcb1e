"""Write data that a page loads as a script: a page opened from disk cannot fetch."""

import json
from pathlib import Path


def write_script(path: Path, name: str, value: object) -> None:
    """Write a script that passes a JSON value to the page's ``kcData``."""
    spelled = json.dumps(value, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    path.write_text(f"kcData({json.dumps(name)},{spelled});\n", encoding="ascii")
