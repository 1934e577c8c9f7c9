"""Drawn people, aligned as preparation aligns them, with their true counterparts and meshes."""

from dataclasses import dataclass

import numpy as np

from core.tables import Picture
from evaluation.arrays import Pictures
from evaluation.metrics.measurement import Side
from evaluation.metrics.regions import contrasts
from preprocessing.analysis.face_detector import FaceDetector
from preprocessing.analysis.face_mesh import FaceMesh, Points
from preprocessing.analysis.face_windows import Alignment
from preprocessing.images.geometry import apply, crop, eye_transform
from scraping.offline.portraits import Makeup, Person, Shot, draw

PX = 96
ALIGNMENT = Alignment(eye_distance=0.36, eye_height=0.40)


@dataclass(frozen=True)
class DrawnFaces:
    """``N`` people in one domain, and the same shots in the other."""

    pictures: Pictures
    counterparts: Pictures
    meshes: list[Points | None]


def draw_faces(first: int, num: int, *, made_up: bool) -> DrawnFaces:
    """``num`` people from the seed ``first`` on; faces that are not found are left out."""
    detector, mesh = FaceDetector(), FaceMesh()
    pictures, counterparts, meshes = [], [], []
    for seed in range(first, first + num):
        person, shot, makeup = Person.seeded(seed), Shot.seeded(seed), Makeup.seeded(seed)
        both = [draw(person, shot, worn, 240, 200) for worn in (makeup, None)]
        picture, counterpart = both if made_up else both[::-1]
        faces = detector.detect(picture)
        if not faces:
            continue
        transform = eye_transform(
            faces[0].keypoints, PX, ALIGNMENT.eye_distance, ALIGNMENT.eye_height
        )
        pictures.append(crop(picture, transform, PX))
        counterparts.append(crop(counterpart, transform, PX))
        meshes.append(mesh.points(pictures[-1], apply(transform, faces[0].keypoints)))
    return DrawnFaces(np.stack(pictures), np.stack(counterparts), meshes)


def side_of(
    pictures: Pictures,
    train: Pictures,
    meshes: list[Points | None] | None = None,
    train_meshes: list[Points | None] | None = None,
) -> Side:
    """A side of a measurement with what judges look at; without features of networks."""
    row = Picture(
        "0" * 64, "d", "A", "test", "x.png", "ok", "", "", "", "", PX, PX, [], [], 1.0, "", "", ""
    )  # fmt: skip
    meshes = meshes or [None] * len(pictures)
    train_meshes = train_meshes or [None] * len(train)
    return Side(
        rows=[row] * len(pictures),
        pictures=pictures,
        load_train_pictures=lambda: train,
        features={},
        train_features={},
        meshes=meshes,
        contrasts=contrasts(pictures, meshes),
        train_contrasts=contrasts(train, train_meshes),
        embeddings=None,
        train_meshes=train_meshes,
    )
