"""Check the files a writer keeps next to a store (key, receipts); readers do not need them."""

from collections.abc import Mapping
from typing import Any

from kc.plans.commands import fix_at
from kc.store.place import Place, signed_or_empty


def bookkeeping_damages(place: Place, name: str, manifest: Mapping[str, Any]) -> list[str]:
    """Compare key and receipts with the manifest; return one line per damage.

    A store without its ``.state`` folder has no damage.
    """
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
        if not _is_receipt_of(signed_or_empty(place, file), shard, written):
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


def _is_receipt_of(receipt: Mapping[str, Any], shard: int, written: Mapping[str, Any]) -> bool:
    """Return whether a receipt belongs to this shard; its statistics are not compared."""
    arrays = receipt.get("arrays", {})
    return (receipt.get("shard"), set(arrays)) == (shard, set(written)) and all(
        about.items() <= arrays[name].items() for name, about in written.items()
    )
