"""Near duplicates are found, and different pictures are left apart."""

import io

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from preprocessing import align
from preprocessing.config import PrepareConfig
from preprocessing.duplicates import Fingerprint, clusters, fingerprint
from preprocessing.faces import FaceDetector
from scraping.offline.faces import Makeup, Person, Shot, draw

CONFIG = PrepareConfig(domain_a="a", domain_b="b")
PLAIN = np.zeros((16, 16, 3), np.uint8)


def picture(seed: int) -> NDArray[np.uint8]:
    coarse = np.random.default_rng(seed).integers(0, 255, (9, 9, 3), np.uint8)
    return np.asarray(cv2.resize(coarse, (240, 200), interpolation=cv2.INTER_CUBIC))


def jpeg(pixels: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file).convert("RGB"))


def changed(pixels: NDArray[np.uint8], how: str) -> NDArray[np.uint8]:
    match how:
        case "same":
            return pixels
        case "compressed":
            return jpeg(pixels, 30)
        case "smaller":
            return np.asarray(cv2.resize(pixels, (90, 75), interpolation=cv2.INTER_AREA))
        case "brighter":
            return np.clip(pixels * 0.8 + 45, 0, 255).astype(np.uint8)
        case "flatter":
            return (pixels * 0.6 + 50).astype(np.uint8)
        case _:
            return np.ascontiguousarray(pixels[:, ::-1])


def cluster(tier: list[Fingerprint | None]) -> list[int]:
    return clusters([tier], CONFIG.duplicate_bits, [CONFIG.duplicate_difference]).tolist()


@pytest.mark.parametrize(
    "how", ["same", "compressed", "smaller", "brighter", "flatter", "mirrored"]
)
def test_a_changed_copy_is_the_same_picture(how: str) -> None:
    originals = [picture(seed) for seed in range(6)]
    copies = [changed(pixels, how) for pixels in originals]
    found = cluster([fingerprint(pixels) for pixels in originals + copies])
    assert found[:6] == found[6:]
    assert len(set(found)) == 6


def test_different_pictures_stay_apart() -> None:
    assert len(set(cluster([fingerprint(picture(seed)) for seed in range(100)]))) == 100


def test_any_tier_may_join_and_pictures_without_fingerprint_stay_alone() -> None:
    one, two, three = (fingerprint(picture(seed)) for seed in range(3))
    found = clusters([[one, one, two, None], [None, three, three, None]], 8, [9, 9]).tolist()
    assert found[0] == found[1] == found[2] != found[3]


def test_nothing_has_no_clusters() -> None:
    assert clusters([[], []], 8, [9, 4]).tolist() == []


@given(
    st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=12),
    st.lists(st.lists(st.integers(0, 63), max_size=12), max_size=12),
    st.integers(0, 16),
)
def test_clusters_are_those_of_brute_force(
    hashes: list[int], flips: list[list[int]], bits: int
) -> None:
    for places in flips:  # plant some near ones
        hashes.append(hashes[0] ^ sum(1 << place for place in set(places)))
    far = [value ^ (2**64 - 1) for value in hashes]  # mirrored hashes that match rarely
    prints = [Fingerprint(*pair, PLAIN) for pair in zip(hashes, far, strict=True)]
    parent = list(range(len(hashes)))

    def root(index: int) -> int:
        while parent[index] != index:
            index = parent[index]
        return index

    for i, one in enumerate(prints):
        for j, two in enumerate(prints[:i]):
            near = (one.phash ^ two.phash).bit_count() <= bits
            if near or (one.phash ^ two.mirrored).bit_count() <= bits:
                parent[root(i)] = root(j)
    found = clusters([list(prints)], bits, [9]).tolist()
    for i in range(len(hashes)):
        for j in range(i):
            assert (found[i] == found[j]) == (root(i) == root(j))


def test_drawn_people_are_not_taken_for_one_another() -> None:
    """Drawn faces are far more alike than photographs: the hardest case for the face tier."""
    detector = FaceDetector()
    aligned: list[Fingerprint | None] = []
    for seed in range(50):
        makeup = Makeup.seeded(seed) if seed % 2 else None
        photo = draw(Person.seeded(seed), Shot.seeded(seed), makeup)
        face = detector.detect(photo)[0]
        transform = align.eye_transform(
            face.keypoints, CONFIG.crop_px, CONFIG.eye_distance, CONFIG.eye_height
        )
        aligned.append(fingerprint(align.crop(photo, transform, CONFIG.crop_px)))
    found = clusters([aligned], CONFIG.duplicate_bits, [CONFIG.face_duplicate_difference])
    assert len(set(found.tolist())) == 50
