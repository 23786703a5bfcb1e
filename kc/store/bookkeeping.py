"""What the writer leaves beside a store, held against the manifest. Readers need none of it."""

from collections.abc import Mapping
from typing import Any

from kc.plans.commands import fix_at
from kc.store.place import Place, signed_or_empty


def bookkeeping_damages(place: Place, name: str, manifest: Mapping[str, Any]) -> list[str]:
    """Check key and receipts; one line a damage. A store without its ``.state`` has none."""
    state = f"{name}.state"
    if not place.has(state):
        return []
    wrong = {}
    if signed_or_empty(place, f"{state}/key.json").get("key") != manifest["key"]:
        wrong[place.where(f"{state}/key.json")] = ""
    arrays = manifest["arrays"]
    for shard in range(-(-manifest["rows"] // manifest["shard_rows"])):
        file = f"{state}/receipts/{shard:06d}.json"
        written = {array: about["shards"][shard] for array, about in arrays.items()}
        if not _tells(signed_or_empty(place, file), shard, written):
            wrong[place.where(file)] = f" of shard {shard} ({spell_rows(manifest, shard)})"
    return [
        f"{file}: the writer's bookkeeping{of} is missing or damaged; the arrays can be read. "
        f"Fix: {fix_at(file, manifest['mend'])}"
        for file, of in wrong.items()
    ]


def spell_rows(manifest: Mapping[str, Any], shard: int) -> str:
    """Format which image rows a shard holds."""
    size = manifest["shard_rows"]
    return f"image rows {shard * size} to {min((shard + 1) * size, manifest['rows']) - 1}"


def _tells(receipt: Mapping[str, Any], shard: int, written: Mapping[str, Any]) -> bool:
    """Return whether a receipt is this shard's; it holds statistics that the manifest sums up."""
    arrays = receipt.get("arrays", {})
    return (receipt.get("shard"), set(arrays)) == (shard, set(written)) and all(
        about.items() <= arrays[name].items() for name, about in written.items()
    )
