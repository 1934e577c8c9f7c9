"""The schema of ``scores.json``: the typed results of an evaluation.

A figure is in ``figures`` under its metric's key (``evaluation/metrics/registry.py`` lists them);
``<key>_baseline`` is the same figure of untranslated pictures, ``<key>_ceiling`` of real pictures
of the target. Parts that a file of an older version lacks are empty or ``None``. Keys that this
version does not know are kept in ``extra`` and written again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from core.files import load_json, write_json
from core.language.messages import localised
from evaluation.champion_record import (
    ComparedChampion,
    MissingChampion,
    NoChampion,
    champion_to_json,
    load_champion_record,
)
from evaluation.contradictions import Contradiction, find_contradictions
from evaluation.data.score_parts import (
    ClassifierScores,
    FeatureNetwork,
    GalleryEntry,
    ModelComparison,
    PairScores,
    Shortage,
    TruthScores,
    WeightsChoice,
    load_classifier,
    load_model_comparison,
    load_network,
)
from evaluation.figures import (
    Figure,
    Figures,
    figures_to_json,
    is_figure,
    load_figures,
)
from evaluation.judges.judge_scores import JudgeScores
from evaluation.strength_choice import StrengthChoice
from evaluation.training_networks import TrainingNetwork, load_networks, networks_to_json


@dataclass(frozen=True)
class DirectionScores:
    """Everything measured of one direction, ``source`` → ``target`` (names of domains)."""

    source: str
    target: str
    num_pictures: int = 0  # translations
    num_target: int = 0  # real held-out pictures of the target
    figures: Figures = field(default_factory=dict)
    meaningless: dict[str, Shortage] = field(default_factory=dict)  # figures that were left out
    truth: TruthScores | None = None
    pairs: PairScores | None = None
    judges: tuple[JudgeScores, ...] | None = None  # independent ones; None: not asked
    champion: ModelComparison | None = None
    other_weights: ModelComparison | None = None
    strength: StrengthChoice | None = None  # of the change; None: not chosen, as in older scores
    gallery: dict[str, list[GalleryEntry]] = field(default_factory=dict)
    gallery_ranked_by: str = "witness"  # or "truth"
    extra: dict[str, Any] = field(default_factory=dict)  # "contradictions", for other programs, …

    @property
    def contradictions(self) -> list[Contradiction]:
        """The figures that contradict the KID."""
        truth = self.truth.figures if self.truth else {}
        return find_contradictions(self.figures, self.judges or (), truth)

    @property
    def route(self) -> str:
        """The direction in words, e.g. ``makeup → bare``."""
        return f"{self.source} → {self.target}"

    def figure(self, key: str) -> Figure | None:
        """The figure with its interval (of a plain number: an interval of no width), if any."""
        value = self.figures.get(key)
        if value is None or isinstance(value, Figure):
            return value
        return Figure(value, value, value)

    def to_json(self) -> dict[str, Any]:
        """This direction in the form of ``scores.json``."""
        optional = {
            "truth": self.truth and _with_figures(asdict(self.truth)),
            "champion": self.champion and self.champion.to_json(),
            "other_weights": self.other_weights and self.other_weights.to_json(),
            "strength": self.strength and self.strength.to_json(),
            "judges": None if self.judges is None else [each.to_json() for each in self.judges],
        }
        return (
            self.extra
            | figures_to_json(self.figures)
            | {
                "from": self.source,
                "to": self.target,
                "num_pictures": self.num_pictures,
                "num_target": self.num_target,
                "meaningless": {
                    name: {"found": each.num_pictures, "needed": each.num_needed}
                    for name, each in self.meaningless.items()
                },
                "pairs": _with_figures(asdict(self.pairs)) if self.pairs else {},
                "gallery": {
                    kind: [{"rank": entry.rank} | entry.files for entry in entries]
                    for kind, entries in self.gallery.items()
                },
                "gallery_ranked_by": self.gallery_ranked_by,
            }
            | {name: value for name, value in optional.items() if value is not None}
        )

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> DirectionScores:
        """The direction that ``value``, a part of ``scores.json``, describes."""
        rest = dict(value)
        truth, pairs = rest.pop("truth", None), rest.pop("pairs", None)
        judges, strength = rest.pop("judges", None), rest.pop("strength", None)
        return cls(
            source=str(rest.pop("from", "")),
            target=str(rest.pop("to", "")),
            num_pictures=int(rest.pop("num_pictures", 0)),
            num_target=int(rest.pop("num_target", 0)),
            meaningless={
                name: Shortage(int(counts["found"]), int(counts["needed"]))
                for name, counts in rest.pop("meaningless", {}).items()
            },
            truth=TruthScores(
                int(truth.get("num_pictures", 0)),
                int(truth.get("num_with_regions", 0)),
                load_figures(truth, except_for=("num_pictures", "num_with_regions")),
            )
            if truth
            else None,
            pairs=PairScores(
                int(pairs.get("num_pairs", 0)), load_figures(pairs, except_for=("num_pairs",))
            )
            if pairs
            else None,
            judges=None if judges is None else tuple(map(JudgeScores.from_json, judges)),
            champion=load_model_comparison(rest.pop("champion", None)),
            other_weights=load_model_comparison(rest.pop("other_weights", None)),
            strength=None if strength is None else StrengthChoice.from_json(strength),
            gallery={
                kind: [
                    GalleryEntry(entry.get("rank"), {k: v for k, v in entry.items() if k != "rank"})
                    for entry in entries
                ]
                for kind, entries in rest.pop("gallery", {}).items()
            },
            gallery_ranked_by=str(rest.pop("gallery_ranked_by", "witness")),
            figures=load_figures(rest),
            extra={key: each for key, each in rest.items() if not is_figure(each)},
        )


@dataclass(frozen=True)
class Scores:
    """Everything measured of one checkpoint on the held-out pictures of its dataset."""

    checkpoint: str
    directions: dict[str, DirectionScores]  # by "A2B" and "B2A"
    run: str = ""
    step: int = 0
    dataset: str = ""
    domains: dict[str, str] = field(default_factory=dict)  # by side, "A" and "B"
    px: int | None = None  # side of the pictures that the model takes
    counts: dict[str, int] = field(default_factory=dict)  # pictures by split and side: "testA", …
    features: FeatureNetwork | None = None
    inception: FeatureNetwork | None = None
    no_inception: str = ""  # the reason why there is none
    missing: dict[str, str] = field(default_factory=dict)  # reason, by "regions" or "identity"
    config: dict[str, Any] = field(default_factory=dict)  # an EvaluateConfig
    train_config: dict[str, Any] = field(default_factory=dict)
    classifier: ClassifierScores | None = None
    champion: ComparedChampion | MissingChampion = field(
        default_factory=lambda: MissingChampion(NoChampion.NONE)
    )
    weights: WeightsChoice = field(default_factory=WeightsChoice)
    training_networks: tuple[TrainingNetwork, ...] | None = None  # None: not recorded
    key: str = ""  # digest of everything that the figures depend on, besides the champion
    champion_key: str = ""  # digest of the champion's weights; "": none
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def language(self) -> Literal["en", "zh"]:
        """The language of the report."""
        return "zh" if self.config.get("language") == "zh" else "en"

    @property
    def mean_kid(self) -> float | None:
        """KID, the mean of both directions; ``None`` for too few pictures."""
        kids = [direction.figure("kid") for direction in self.directions.values()]
        values = [kid.value for kid in kids if kid is not None]
        return sum(values) / len(values) if values and len(values) == len(kids) else None

    @property
    def strengths(self) -> dict[str, float]:
        """The strength of each generator's change, by its name (``G_A``, ``G_B``)."""
        return {
            f"G_{name[0]}": direction.strength.chosen if direction.strength else 1.0
            for name, direction in self.directions.items()
        }

    def to_json(self) -> dict[str, Any]:
        """The content of ``scores.json``; two of its keys repeat values of the directions."""
        rest = dict(self.extra)
        if self.training_networks is not None:
            rest["training_networks"] = networks_to_json(self.training_networks)
        return rest | {
            "run": self.run,
            "checkpoint": self.checkpoint,
            "step": self.step,
            "dataset": self.dataset,
            "domains": self.domains,
            "px": self.px,
            "counts": self.counts,
            "features": asdict(self.features) if self.features else {},
            "inception": asdict(self.inception)
            if self.inception
            else {"missing": self.no_inception},
            "missing": self.missing,
            "config": self.config,
            "train_config": self.train_config,
            "classifier": asdict(self.classifier) if self.classifier else {},
            "champion": champion_to_json(self.champion),
            "weights": asdict(self.weights),
            "directions": {name: each.to_json() for name, each in self.directions.items()},
            "key": self.key,
            "champion_key": self.champion_key,
            "lip_eye_error_reduction": {
                name: reduction
                for name, each in self.directions.items()
                if (reduction := lip_eye_reduction(each)) is not None
            },
            "better_than_baseline": {
                name: kid.value < untranslated.value
                for name, each in self.directions.items()
                if (kid := each.figure("kid")) and (untranslated := each.figure("kid_baseline"))
            },
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Scores:
        """The scores that ``value``, the content of ``scores.json``, describes."""
        rest = dict(value)
        for repeated in ("lip_eye_error_reduction", "better_than_baseline"):
            rest.pop(repeated, None)
        inception, weights = rest.pop("inception", {}), rest.pop("weights", {})
        px, networks = rest.pop("px", None), rest.pop("training_networks", None)
        return cls(
            checkpoint=str(rest.pop("checkpoint", "")),
            directions={
                name: DirectionScores.from_json(each)
                for name, each in rest.pop("directions").items()
            },
            run=str(rest.pop("run", "")),
            step=int(rest.pop("step", 0)),
            dataset=str(rest.pop("dataset", "")),
            domains=dict(rest.pop("domains", {})),
            px=None if px is None else int(px),
            counts=dict(rest.pop("counts", {})),
            features=load_network(rest.pop("features", {})),
            inception=load_network(inception),
            no_inception=str(inception.get("missing", "")),
            missing=dict(rest.pop("missing", {})),
            config=dict(rest.pop("config", {})),
            train_config=dict(rest.pop("train_config", {})),
            classifier=load_classifier(rest.pop("classifier", {})),
            champion=load_champion_record(rest.pop("champion", {})),
            weights=WeightsChoice(
                str(weights.get("chosen", "raw")), dict(weights.get("kid_to_training", {}))
            ),
            training_networks=None if networks is None else load_networks(networks),
            key=str(rest.pop("key", "")),
            champion_key=str(rest.pop("champion_key", "")),
            extra=rest,
        )


def lip_eye_reduction(direction: DirectionScores) -> float | None:
    """Share of the error on lips and eyes that translation took away, where a truth is known."""
    if direction.truth is None:
        return None
    value = direction.truth.figures.get("lip_eye_error_reduction")
    return value.value if isinstance(value, Figure) else value


def load_scores(path: Path) -> Scores:
    """Read ``scores.json``, of this version or an older one.

    Raises ``FileNotFoundError``, and a ``ValueError`` that names a file without scores.
    """
    value = load_json(path)
    try:
        return Scores.from_json(value)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(
            localised(
                "{path}: found no scores of an evaluation ({name}: {error}); remove the file "
                "and evaluate again",
                path=path,
                name=type(error).__name__,
                error=error,
            )
        ) from error


def write_scores(path: Path, scores: Scores) -> None:
    """Write ``scores.json``. Raises ``ValueError`` for a figure that is no finite number."""
    write_json(path, scores.to_json())


def _with_figures(values: dict[str, Any]) -> dict[str, Any]:
    figures: dict[str, Any] = values.pop("figures")
    return values | figures
