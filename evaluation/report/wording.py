"""The report's sentences and numbers in English and in Chinese: pure text from scores."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Literal, get_args

from evaluation.contradictions import Contradiction, opposing_judges
from evaluation.features.training_statistics import TrainingStatistics
from evaluation.figures import Figure, Value
from evaluation.judgement import (
    Judge,
    Share,
    best_closed_form,
    blind_judges,
    closed_forms,
    least_share,
    power,
    shares,
)
from evaluation.judges.judge_kinds import judge_name
from evaluation.metrics.metric_meanings import CLOSED_FORM_NAMES, ClosedForm
from evaluation.metrics.registry import metric_names
from evaluation.scores import DirectionScores, Scores, lip_eye_reduction
from preprocessing.selection.reason_words import REASON_WORDS

Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, ...] = get_args(Language)
Change = Literal["better", "same", "worse"]
_EXPLAINED = ("kid", "closed_form", "way", "interval", "gate")
_TRUTH_VERBS: Mapping[Language, tuple[str, str]] = {  # of an error that rises, and that falls
    "en": ("rises ", "falls "),
    "zh": ("升高 ", "降低 "),
}
_TIMES_MORE = 4  # held-out pictures: standard errors halve


@cache
def words(language: Language) -> Mapping[str, str]:
    """Every text of the report by its key, and the name of every metric by its key, and of every
    reason of rejection by ``reason_`` and its code.

    Both languages have the same keys.
    """
    path = resources.files("evaluation.report") / f"words.{language}.json"
    texts: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
    reasons = {
        f"reason_{code}": reason.name.in_language(language) for code, reason in REASON_WORDS.items()
    }
    return texts | metric_names(language) | reasons


def number(value: float) -> str:
    """``value`` with three significant digits, a small one with four decimals; no exponent."""
    magnitude = abs(float(f"{value:.3g}"))
    if magnitude == 0:
        return "0"
    if magnitude >= 100:
        text = f"{value:.0f}"
    elif magnitude >= 10:
        text = f"{value:.1f}"
    elif magnitude >= 1:
        text = f"{value:.2f}"
    elif magnitude >= 0.1:
        text = f"{value:.3f}"
    else:
        text = f"{value:.4f}"
    return text.replace("-", "\u2212")


def percent(value: float) -> str:
    """A share as whole per cent, e.g. ``42 %``."""
    return f"{100 * value:.0f} %".replace("-", "\u2212")


def figure_text(figure: Value | None, *, as_share: bool) -> str:
    """``value (low … high)``; only the value where it has no interval; ``""`` without one."""
    text, interval = figure_parts(figure, as_share=as_share)
    return f"{text} ({interval})" if interval else text


def figure_parts(figure: Value | None, *, as_share: bool) -> tuple[str, str]:
    """A figure's value and ``low … high``; ``""`` for an interval of no width at this precision."""
    show = percent if as_share else number
    if figure is None:
        return "", ""
    if not isinstance(figure, Figure):
        return show(figure), ""
    value, low, high = (show(bound) for bound in (figure.value, figure.low, figure.high))
    return value, "" if low == high else f"{low} … {high}"


def verdict(scores: Scores, language: Language = "en") -> str:
    """One sentence: which directions are better than leaving pictures as they are, what they add
    to the best closed form, and the least of the judges' shares of the way. A second one names
    strengths other than 1.
    """
    separator = "" if language == "zh" else " "
    sentences = (_quality(scores, language), strength_sentence(scores, language))
    return separator.join(filter(None, sentences))


def strength_sentence(scores: Scores, language: Language) -> str:
    """The directions whose change has another strength than 1; ``""`` for none."""
    text = words(language)
    parts = [
        text["strength_part"].format(strength=f"{each.strength.chosen:g}", route=each.route)
        for each in scores.directions.values()
        if each.strength and each.strength.chosen != 1
    ]
    joined = text["strength_and"].join(parts)
    return text["strength_verdict"].format(strengths=joined) if parts else ""


def _quality(scores: Scores, language: Language) -> str:
    directions = list(scores.directions.values())
    changes = [direction.figure("kid_change") for direction in directions]
    if any(change is None for change in changes):
        return _undecided(directions, language)
    states = [change_state(change) for change in changes if change is not None]
    num_better = sum(state == "better" for state in states)
    parts = [
        _kid_part(direction, language, state)
        for direction, state in zip(directions, states, strict=True)
    ]
    ending = _truth_part(directions, language)
    is_beaten = any(
        state == "better" and not _beats_closed_forms(direction)
        for direction, state in zip(directions, states, strict=True)
    )
    separator = "；" if language == "zh" else "; "
    if language == "zh":
        opening = {2: "两个方向的转换都优于原图", 1: "只有一个方向的转换优于原图"}.get(
            num_better, "尚不能确定任一方向优于原图"
        )
        if "same" not in states and not num_better:
            opening = "两个方向的转换都不优于原图"
        if num_better and is_beaten:
            opening += "，但不能确定优于不用网络的转换"
        return f"{opening}：{separator.join(parts)}{ending}。"
    opening = {
        2: "Both directions are better than leaving pictures as they are",
        1: "Only one direction is better than leaving pictures as they are",
    }.get(num_better, "Neither direction is surely better than leaving pictures as they are")
    if "same" not in states and not num_better:
        opening = "Neither direction is better than leaving pictures as they are"
    if num_better and is_beaten:
        opening += ", but not surely better than translations without a network"
    return f"{opening}: {separator.join(parts)}{ending}."


def explanations(language: Language = "en") -> list[str]:
    """A sentence for each of the words that readers meet first in a verdict."""
    return [words(language)[f"explained_{term}"] for term in _EXPLAINED]


def change_state(change: Figure) -> Change:
    """The verdict on a change (below 0 is better) by its interval."""
    if change.high < 0:
        return "better"
    return "worse" if change.low > 0 else "same"


def _undecided(directions: Sequence[DirectionScores], language: Language) -> str:
    num = min(min(direction.num_pictures, direction.num_target) for direction in directions)
    truth = _truth_part(directions, language)
    if language == "zh":
        return f"留出图片太少（{num} 张），无法判断转换是否优于原图{truth}。"
    return (
        f"Too few held-out pictures ({num}) to tell whether translating is better than leaving "
        f"pictures as they are{truth}."
    )


def _kid_part(direction: DirectionScores, language: Language, state: Change) -> str:
    kid, untranslated = direction.figure("kid"), direction.figure("kid_baseline")
    after = number(kid.value) if kid else "?"
    before = number(untranslated.value) if untranslated else "?"
    if language == "zh":
        moved = {"better": "降至", "same": "变为", "worse": "升至"}[state]
        unsure = "（可能出于偶然）" if state == "same" else ""
        text = f"{direction.route} 的 KID 由 {before} {moved} {after}{unsure}"
        return text + _added_part(direction, language) + _way_part(direction, language)
    moved = {"better": "falls", "same": "goes", "worse": "rises"}[state]
    unsure = ", which may be chance" if state == "same" else ""
    text = f"{direction.route} KID {moved} from {before} to {after}{unsure}"
    return text + _added_part(direction, language) + _way_part(direction, language)


def _beats_closed_forms(direction: DirectionScores) -> bool:
    """Whether the model is surely better than every closed form that was measured."""
    return all(change_state(each.kid_change) == "better" for each in closed_forms(direction))


def _added_part(direction: DirectionScores, language: Language) -> str:
    """What the model adds to the best closed form; nothing where none was measured."""
    closed = best_closed_form(direction)
    if closed is None:
        return ""
    name = getattr(CLOSED_FORM_NAMES[closed.form], language)
    change, state = closed.kid_change.value, change_state(closed.kid_change)
    size = number(abs(change))
    if language == "zh":
        unsure = "（可能出于偶然）" if state == "same" else ""
        return f"，比{name}{'低' if change < 0 else '高'} {size}{unsure}"
    unsure = " (which may be chance)" if state == "same" else ""
    return f", {size} {'below' if change < 0 else 'above'} that of {name}{unsure}"


def _way_part(direction: DirectionScores, language: Language) -> str:
    """The least of the judges' shares of the way to real pictures."""
    share = least_share(direction)
    if share is None:
        return ""
    judge = _judge_text(share.judge, language)
    if language == "zh":
        judge = f" {judge} " if judge.isascii() else judge
        return f"，按{judge}走完 {percent(share.value)} 的路程"
    return f", {percent(share.value)} of the way by {judge}"


def _truth_part(directions: Sequence[DirectionScores], language: Language) -> str:
    reductions = [lip_eye_reduction(direction) for direction in directions]
    shares = [share for share in reductions if share is not None]
    if len(shares) != len(directions):
        return ""
    is_contradicted = any(Contradiction.TRUTH in each.contradictions for each in directions)
    verbs = [_TRUTH_VERBS[language][share >= 0] for share in shares]
    repeated = ["", *verbs[:-1]]
    changes = [
        f"{'' if verb == before else verb}{_by(share, direction, language)}"
        for before, verb, share, direction in zip(repeated, verbs, shares, directions, strict=True)
    ]
    if language == "zh":
        but = "，但整张图片更不像真实图片" if is_contradicted else ""
        return f"；唇部与眼部误差分别{'、'.join(changes)}{but}"
    but = ", though whole pictures look less like real ones" if is_contradicted else ""
    return f"; the error on lips and eyes {' and '.join(changes)}{but}"


def _by(share: float, direction: DirectionScores, language: Language) -> str:
    size = percent(abs(share))
    return size if language == "zh" else f"by {size} ({direction.route})"


def power_sentences(direction: DirectionScores, language: Language) -> str:
    """How large a change of KID these pictures can be sure of, and what more of them would give;
    ``""`` where it was not measured.
    """
    now = power(direction)
    if now is None or now.sure_change == 0:
        return ""
    more = now.at(_TIMES_MORE * now.num_pictures)
    return words(language)["power"].format(
        num=now.num_pictures,
        sure=number(now.sure_change),
        likely=number(now.likely_change),
        more=more.num_pictures,
        added=more.num_pictures - now.num_pictures,
        more_sure=number(more.sure_change),
    )


def share_sentence(direction: DirectionScores, language: Language) -> str:
    """Each judge's share of the way, and which judges are blind to the domains."""
    text = words(language)
    parts = [
        f"{_judge_text(share.judge, language)} {percent(share.value)}"
        for share in shares(direction)
    ]
    parts += [
        text["judge_blind"].format(judge=_judge_text(judge, language))
        for judge in blind_judges(direction)
    ]
    return text["judges"].format(shares=text["and"].join(parts)) if parts else ""


def way_title(share: Share, language: Language) -> str:
    """The words below the headline's share of the way."""
    return words(language)["gap"].format(judge=_judge_text(share.judge, language))


def _judge_text(judge: str, language: Language) -> str:
    """The judge's name inside a sentence."""
    return words(language)[f"judge_{judge}"] if judge in set(Judge) else judge_name(judge, language)


def closed_form_name(form: ClosedForm, language: Language) -> str:
    """The closed form's name as a title."""
    name: str = getattr(CLOSED_FORM_NAMES[form], language)
    return name[:1].upper() + name[1:]


def closed_form_sentences(direction: DirectionScores, language: Language) -> list[str]:
    """A sentence for each closed form: its KID and FID, and whether the model is better."""
    text = words(language)
    sentences = []
    for closed in closed_forms(direction):
        change = closed.kid_change
        sentences.append(
            text["closed_form"].format(
                name=closed_form_name(closed.form, language),
                kid=figure_text(closed.kid, as_share=False),
                fid=figure_text(closed.fid, as_share=False) or "–",
                change=figure_text(change, as_share=False),
                verdict=text[f"closed_form_{change_state(change)}"],
            )
        )
    return sentences


def contradiction_sentences(direction: DirectionScores, language: Language) -> list[str]:
    """What to make of each figure that contradicts the KID."""
    keys = {"kid": "kid", "before": "kid_baseline", "fid": "fid", "fid_before": "fid_baseline"}
    figures = {name: direction.figure(key) for name, key in keys.items()}
    judges = [
        judge_name(each.judge, language)
        for each in opposing_judges(direction.figures, direction.judges or ())
    ]
    return [
        words(language)[f"contradiction_{contradiction}"].format(
            target=direction.target,
            judges=words(language)["and"].join(judges),
            **{name: number(figure.value) for name, figure in figures.items() if figure},
        )
        for contradiction in direction.contradictions
    ]


def origin_sentence(statistics: TrainingStatistics | None, language: Language) -> str:
    """Whether the training pictures are drawings; ``""`` where they are none, or unknown."""
    if statistics is None or statistics.drawn_share is None:
        return ""
    text = words(language)[f"trained_on_{statistics.trained_on}"]
    return text.format(share=percent(statistics.drawn_share))


def training_networks_sentence(scores: Scores, language: Language) -> str:
    """Which pretrained networks had a part in the model; ``""`` where it was not recorded."""
    networks, text = scores.training_networks, words(language)
    if networks is None:
        return ""
    if not networks:
        return text["no_training_networks"]
    return " ".join(
        text[f"training_network_{network.use}"].format(
            name=network.name, pretraining=network.pretraining
        )
        for network in networks
    )
