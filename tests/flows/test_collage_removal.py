"""A collage that is forgotten goes with its parts, and a part with its collage."""

from pathlib import Path

import pytest
from drawn_places import beside, listing, place, png, sha256_of

from core.workspace import Workspace
from flows.removal.full_removal import plan_removal, remove
from preprocessing.cache import names_in_cache
from preprocessing.config import PrepareConfig
from preprocessing.prepare import prepare
from preprocessing.selection.collage_parts import part_names
from storage.forgotten_record import load_record

CONFIG = PrepareConfig(
    domain_a="day", domain_b="night", faces=False, crop_px=32, min_images=2, min_sharpness=0,
    split_seam=0.6, num_workers=1,
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("named", ["the collage", "a part"])
def test_a_collage_goes_with_its_parts_whichever_is_named(tmp_path: Path, named: str) -> None:
    workspace = Workspace(tmp_path)
    collage = beside(place(900, night=False), place(901, night=True))
    days = [collage, *(place(seed, night=False) for seed in range(6))]
    nights = [place(100 + seed, night=True) for seed in range(6)]
    listings = [
        listing(workspace, "day", map(png, days)),
        listing(workspace, "night", map(png, nights)),
    ]
    version = prepare(CONFIG, *listings, workspace).version
    name = sha256_of(collage)
    parts = part_names(name)
    assert names_in_cache(workspace, parts) == set(parts)
    plan = plan_removal([name if named == "the collage" else parts[1][:12]], workspace)
    assert [target.value for target in plan.targets] == [name]
    assert remove(plan, workspace).left.is_empty
    assert not names_in_cache(workspace, {name, *parts})
    assert not workspace.dataset(version).path.exists()
    assert {name, *parts} <= load_record(workspace).pictures
    again = plan_removal([], workspace)
    assert [target.value for target in again.targets] == [name]
