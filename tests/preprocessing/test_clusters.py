"""Near duplicates share a cluster, different pictures do not, and growth changes no older
picture."""

import io
from collections.abc import Sequence
from dataclasses import replace

import cv2
import imagehash
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from preprocessing.analysis.face_context import face_context
from preprocessing.analysis.face_detector import FaceDetector
from preprocessing.analysis.fingerprint import (
    THUMB_PX,
    WHOLE_PICTURE,
    Fingerprint,
    content_box,
    context_part,
    fingerprint,
    grey_thumbnail,
    mark_inside,
)
from preprocessing.config import PrepareConfig
from preprocessing.dedup import candidates as module
from preprocessing.dedup.candidates import (
    HashColumns,
    Pairs,
    find_candidates,
    newer_pictures,
)
from preprocessing.dedup.clusters import Clusters, ComparePairs, Differences, build_clusters
from preprocessing.dedup.overlay import thumbnail_pairs
from preprocessing.dedup.similarity import similarities
from preprocessing.images import geometry
from scraping.offline.portraits import Makeup, Person, Shot, draw

CONFIG = PrepareConfig(domain_a="a", domain_b="b")


def picture(seed: int) -> NDArray[np.uint8]:
    """A picture with large and small shapes, like a photograph."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 255, (9, 9, 3), np.uint8)
    pixels = cv2.resize(coarse, (240, 200), interpolation=cv2.INTER_CUBIC)
    for _ in range(40):
        x, y, r = (int(v) for v in rng.integers(0, [240, 200, 12]))
        cv2.circle(pixels, (x, y), 3 + r, rng.integers(0, 255, 3).tolist(), -1)
    return np.asarray(cv2.GaussianBlur(pixels, (0, 0), 1.2), np.uint8)


def jpeg(pixels: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file).convert("RGB"))


def changed(pixels: NDArray[np.uint8], how: str) -> NDArray[np.uint8]:  # noqa: PLR0911
    match how:
        case "compressed":
            return jpeg(pixels, 30)
        case "smaller":
            return np.asarray(cv2.resize(pixels, (90, 75), interpolation=cv2.INTER_AREA))
        case "brighter":
            return np.clip(pixels * 0.8 + 45, 0, 255).astype(np.uint8)
        case "flatter":
            return (pixels * 0.6 + 50).astype(np.uint8)
        case "mirrored":
            return np.ascontiguousarray(pixels[:, ::-1])
        case "cropped":
            return pixels[10:-10, 12:-12]
        case "cropped at a corner":
            return pixels[10:, 12:]
        case "framed":
            return np.asarray(cv2.copyMakeBorder(pixels, 9, 30, 12, 12, cv2.BORDER_CONSTANT))
        case "watermarked":
            image = Image.fromarray(pixels)
            ImageDraw.Draw(image).text((20, 150), "example.com", "white", font_size=26)
            return np.asarray(image)
        case _:
            return pixels


Face = tuple[Fingerprint, Fingerprint]  # aligned, and with its surroundings
Picture = tuple[Fingerprint | None, tuple[Face, ...]]


def whole(pixels: NDArray[np.uint8]) -> Picture:
    return fingerprint(pixels), ()


def face_before_nothing(print_: Fingerprint) -> Face:
    """A face that fills its surroundings, all of them inside the picture."""
    inside = np.ones((THUMB_PX, THUMB_PX), np.bool_)
    return print_, replace(print_, thumbnail=mark_inside(print_.thumbnail, inside))


def columns(pictures: Sequence[Picture]) -> HashColumns:
    hashes = HashColumns()
    for number, (whole_, faces) in enumerate(pictures):
        hashes.add(number, whole_, [(k, *face) for k, face in enumerate(faces)])
    return hashes


def by_thumbnails(pictures: Sequence[Picture]) -> ComparePairs:
    def thumbnail(number: int, face: int) -> bytes:
        whole_, faces = pictures[number]
        if face >= 0:
            return faces[face][0].thumbnail
        of_tier = whole_ if face == WHOLE_PICTURE else faces[context_part(face)][1]
        assert of_tier is not None
        return of_tier.thumbnail

    return lambda pairs: np.array(similarities(thumbnail_pairs(pairs, thumbnail)))


def cluster(pictures: Sequence[Picture]) -> list[int]:
    found = build_clusters(
        columns(pictures),
        lambda _: False,
        by_thumbnails(pictures),
        bits=CONFIG.duplicate_bits,
        min_similarity=CONFIG.duplicate_alike,
        min_doubtful=CONFIG.doubtful_alike,
    )
    return list(found.founder)


@pytest.mark.parametrize(
    "how",
    ["same", "compressed", "smaller", "brighter", "flatter", "mirrored", "cropped",
     "cropped at a corner", "framed", "watermarked"],
)  # fmt: skip
def test_a_changed_copy_is_the_same_picture(how: str) -> None:
    originals = [picture(seed) for seed in range(6)]
    copies = [changed(pixels, how) for pixels in originals]
    found = cluster([whole(pixels) for pixels in originals + copies])
    assert found == [*range(6), *range(6)]


def test_different_pictures_stay_apart() -> None:
    assert cluster([whole(picture(seed)) for seed in range(100)]) == list(range(100))


def test_plain_pictures_are_one_only_when_they_are_equally_grey() -> None:
    greys = [np.full((80, 90, 3), value, np.uint8) for value in (30, 31, 200)]
    assert cluster([whole(grey) for grey in greys]) == [0, 0, 2]


def test_any_tier_may_join_and_pictures_without_fingerprint_stay_alone() -> None:
    one, two, three = (fingerprint(picture(seed)) for seed in range(3))
    face = face_before_nothing(three)
    pictures: list[Picture] = [(one, ()), (one, (face,)), (two, (face,)), (None, ())]
    assert cluster(pictures) == [0, 0, 0, 3]


def test_two_faces_of_one_picture_are_no_pair() -> None:
    face = face_before_nothing(fingerprint(picture(0)))
    assert len(find_candidates(columns([(None, (face, face))]), 10)) == 0


def test_nothing_has_no_clusters() -> None:
    assert cluster([]) == []


def test_the_hashes_are_those_of_imagehash() -> None:
    for seed in range(5):
        found = fingerprint(picture(seed), trim=False)
        small = cv2.resize(grey_thumbnail(found.thumbnail), (32, 32), interpolation=cv2.INTER_AREA)
        assert found.phash == int(str(imagehash.phash(Image.fromarray(small))), 16)
        turned = np.ascontiguousarray(small[:, ::-1])
        assert found.mirrored == int(str(imagehash.phash(Image.fromarray(turned))), 16)


def test_plain_borders_are_found_and_pictures_are_left_whole() -> None:
    inner = picture(3)
    framed = cv2.copyMakeBorder(inner, 5, 40, 0, 22, cv2.BORDER_CONSTANT, value=(250, 250, 250))
    left, top, right, bottom = content_box(framed)
    assert (left, top, right, bottom) == pytest.approx((0, 5, 240, 205), abs=1)
    assert content_box(inner) == (0, 0, 240, 200)
    assert content_box(np.zeros((1, 1, 3), np.uint8)) == (0, 0, 1, 1)


def numbered(hashes: Sequence[int]) -> HashColumns:
    """Fingerprints that have only a hash."""
    far = 0x5555555555555555  # 32 of 64 bits: turned and mirrored pictures resemble nothing
    prints = [Fingerprint((h,) * 7, h ^ (2**64 - 1), (h ^ far, h ^ (far << 1))) for h in hashes]
    return columns([(each, ()) for each in prints])


def by_bits(hashes: Sequence[int]) -> ComparePairs:
    def compare(pairs: Pairs) -> NDArray[np.float64]:
        places = zip(pairs["inner"].tolist(), pairs["outer"].tolist(), strict=True)
        return np.array([1.0 - (hashes[i] ^ hashes[j]).bit_count() / 64 for i, j in places])

    return compare


groups = st.lists(
    st.tuples(st.integers(0, 3), st.sets(st.integers(0, 63), max_size=6)), max_size=14
)


@given(groups, st.integers(0, 16), st.integers(0, 14))
def test_clusters_and_sides_of_older_pictures_do_not_depend_on_newer_ones(
    members: list[tuple[int, set[int]]], bits: int, num_old: int
) -> None:
    centres = [0x0123456789ABCDEF, 0xFEDCBA9876543210, 0x00FF00FF00FF00FF, 0xF0F0F0F0F0F0F0F0]
    hashes = [centres[group] ^ sum(1 << bit for bit in flips) for group, flips in members]

    def grow(num: int) -> Clusters:
        return build_clusters(
            numbered(hashes[:num]),
            lambda k: hashes[k] % 3 == 0,
            by_bits(hashes),
            bits=bits,
            min_similarity=1 - bits / 64,
            min_doubtful=0,
        )

    before, after = grow(num_old), grow(len(hashes))
    for i, one in enumerate(before.founder):
        for j, two in enumerate(before.founder[:i]):
            if one == two:
                assert after.founder[i] == after.founder[j]
        if i not in after.displaced:  # a usable picture stays where it was
            side_before = hashes[one] % 3 == 0
            assert (hashes[after.founder[i]] % 3 == 0) == side_before
    for k, founder in enumerate(after.founder):
        near = [j for j in range(len(hashes)) if (hashes[k] ^ hashes[j]).bit_count() <= bits]
        assert all(after.founder[j] == founder for j in near)


@pytest.mark.slow
def test_very_many_like_pictures_are_one_cluster_without_comparing_all() -> None:
    rng = np.random.default_rng(0)
    base = picture(0).astype(int)
    many = [
        whole((base + rng.integers(-9, 9, base.shape)).clip(0, 255).astype(np.uint8))
        for _ in range(150)
    ]
    pairs = find_candidates(columns(many), 10)
    assert max(np.bincount(newer_pictures(pairs))) < 14 * module._MAX_OLDER_PICTURES
    assert cluster(many) == [0] * 150


def test_a_bridge_between_the_two_sides_takes_the_younger_one_out() -> None:
    ends = [0b0, 0b111111, 0b111]
    found = build_clusters(
        numbered(ends),
        lambda k: k == 1,
        by_bits(ends),
        bits=3,
        min_similarity=1 - 3 / 64,
        min_doubtful=0,
    )
    assert list(found.founder) == [0, 0, 0]
    assert found.displaced == {1}


def clusters_of(hashes: Sequence[int], differences: Differences) -> Clusters:
    return build_clusters(
        numbered(hashes),
        lambda _: False,
        by_bits(hashes),
        bits=3,
        min_similarity=1 - 3 / 64,
        min_doubtful=1 - 6 / 64,
        differences=differences,
    )


def test_pictures_that_a_person_calls_different_share_no_cluster_in_any_version() -> None:
    """Neither directly nor through a third picture that resembles both, nor a later one."""
    one, other, between = 0b0, 0b1111, 0b1
    differences = Differences({0: frozenset({1}), 1: frozenset({0})})
    assert list(clusters_of([one, other, between], Differences()).founder) == [0, 0, 0]
    for later in ([], [0b11], [0b11, 0b111, 0b10]):
        hashes = [one, other, between, *later]
        founder = clusters_of(hashes, differences).founder
        assert founder[0] != founder[1]
        assert founder[2] == founder[0]  # the nearer one
    assert list(clusters_of([one, 0b1], differences).founder) == [0, 1]
    assert clusters_of([0b0, 0b1111], differences).doubtful == []  # a person has decided that


def test_a_picture_that_is_a_copy_of_none_stays_alone() -> None:
    alone = Differences({}, frozenset({1}))
    assert list(clusters_of([0b0, 0b1, 0b10], alone).founder) == [0, 1, 0]


def test_doubtful_pairs_are_listed_and_not_joined() -> None:
    one, other = picture(1), picture(2)
    mixed = (0.78 * one + 0.22 * other).astype(np.uint8)
    pictures = [whole(one), whole(mixed)]
    compare = by_thumbnails(pictures)
    similarity = compare(find_candidates(columns(pictures), 16))[0]
    found = build_clusters(
        columns(pictures), lambda _: False, compare,
        bits=16, min_similarity=similarity + 0.005, min_doubtful=similarity - 0.005,
    )  # fmt: skip
    assert list(found.founder) == [0, 1]
    assert [(m.older, m.newer) for m in found.doubtful] == [(0, 1)]


@pytest.mark.slow
def test_drawn_people_are_not_taken_for_one_another() -> None:
    """Drawn faces are far more similar than photographs: the hardest case for the face tier."""
    detector = FaceDetector()
    pictures = list[Picture]()
    for seed in range(50):
        makeup = Makeup.seeded(seed) if seed % 2 else None
        photo = draw(Person.seeded(seed), Shot.seeded(seed), makeup)
        face = detector.detect(photo)[0]
        transform = geometry.eye_transform(face.keypoints, 128, 0.36, 0.40)
        aligned = fingerprint(geometry.crop(photo, transform, 128), trim=False)
        context = face_context(photo, face.keypoints)
        pictures.append((fingerprint(photo), ((aligned, context),)))
    assert cluster(pictures) == list(range(50))
