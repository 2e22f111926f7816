"""The verdict of a page: one sentence, four numbers, and what a reader must be warned of."""

from collections.abc import Iterator
from typing import Literal, NamedTuple

from cotrain.configuration.advice import advice_on_schedule
from cotrain.configuration.names import BASELINE, FINAL, UPPER_BOUND, ModelName
from cotrain.configuration.settings_files import may_have_labels
from cotrain.evaluation.verdict import FEW_KEPT, TIE, listed
from cotrain.reporting.page.records import RunRecords
from cotrain.reporting.page.tables import signed
from cotrain.reporting.table import MISSING, percent, share_of_gap_closed

Tone = Literal["good", "bad", "warn", "neutral"]

# What `health` finds, by how bad it is; the rest is a hint.
BAD = ("collapsed",)
# A model with a lower mIoU is wrong about most of what it sees.
HARDLY_USABLE = 0.2
# Fewer test images than this say little of small differences.
FEW_TEST_IMAGES = 30
WARNINGS = ("lower", "starved", "vanished", "missing", "few", "drift", "unshown")


# Letters of an error that are shown.
LONGEST_ERROR = 700


class Number(NamedTuple):
    """A number at the top of the page, what it compares with, and whether that is good."""

    name: str
    value: str
    note: str
    tone: Tone = "neutral"


class Note(NamedTuple):
    """Something that a reader must know, and how bad it is."""

    tone: Tone
    text: str


class Verdict(NamedTuple):
    """What a reader sees first."""

    tone: Tone
    word: str
    sentence: str
    numbers: list[Number]
    warnings: list[Note]


def verdict(records: RunRecords) -> Verdict:
    """Return the verdict on a run, finished or not."""
    tone, word, sentence = _sentence(records)
    numbers = _scores(records) if records.scores else _health(records)
    # A number and its unit stay in one line.
    sentence = sentence.replace(" %", "\u00a0%")
    # What matters most comes first: the next step is to mend that.
    causes = [*_serious(records), *(_short_schedule(records) if tone in ("bad", "warn") else [])]
    notes = [*causes, *_warnings(records), *_next_step(records, tone, bool(causes))]
    return Verdict(tone, word, sentence, numbers, notes)


def best_model(records: RunRecords) -> str | None:
    """Return the model to use: the newest one, unless an earlier one has a score that is truly higher."""
    newest = records.newest
    scores = {model: records.scores[model].mean_iou for model in records.planned if model in records.scores}
    if newest not in scores:
        return newest
    best = max(scores, key=lambda model: scores[model])
    return newest if scores[best] - scores[newest] < TIE else best


def _sentence(records: RunRecords) -> tuple[Tone, str, str]:
    if not records.is_finished:
        if records.stopped:
            return "bad", "It stopped", f"A step has failed. {_progress(records)}"
        return "neutral", "Not finished", _progress(records)
    collapsed = _found(records, "collapsed")
    scores = records.scores
    first, last = scores.get(str(BASELINE)), scores.get(str(FINAL))
    if first is None or last is None:
        unknown = "that takes some labelled images of the camera"
        if collapsed:
            text = f"A model has collapsed. How good the others are is not known: {unknown}."
            return "bad", "It did not work", text
        wrong = len([note for note in _warnings(records) if note.tone != "neutral"])
        seen = {0: "Nothing looks wrong", 1: "One thing looks wrong"}.get(wrong, f"{wrong} things look wrong")
        text = f"{seen}. How good the final model is, is not known: {unknown}."
        return "warn" if wrong else "neutral", "Finished, not scored", text
    gain = last.mean_iou - first.mean_iou
    has = f"The final model has {percent(last.mean_iou, 1)} % mIoU on {last.images} test images"
    than = f"the baseline ({percent(first.mean_iou, 1)} %)"
    better = _better(records)
    if abs(gain) < TIE:
        text = f"{has}, {signed(100 * gain)} points against {than}: another seed changes as much.{better}"
        return "warn", "It changed nothing", text
    comparison = "more" if gain > 0 else "less"
    text = f"{has}, {abs(100 * gain):.1f} points {comparison} than {than}{_gap(records)}.{better}"
    if gain < 0:
        return "bad", "It did not work", text
    if collapsed and first.mean_iou < HARDLY_USABLE:
        return "bad", "It did not work", f"{text} The baseline is of no use, so the gain says nothing."
    if collapsed:
        return "warn", "It worked in part", f"{text} A model has collapsed."
    if last.mean_iou < HARDLY_USABLE:
        return "warn", "Hardly of use", f"{text} With so low a score, the model is hardly of use."
    return "warn" if better else "good", "It worked in part" if better else "It worked", text


def _better(records: RunRecords) -> str:
    """Return in a sentence which earlier model is better than the final one; nothing if none is."""
    model = best_model(records)
    if model is None or model == str(FINAL):
        return ""
    if model == str(BASELINE):
        return " No model of this run is better than the baseline."
    return f" An earlier model is better: {model} ({percent(records.scores[model].mean_iou, 1)} %)."


def _progress(records: RunRecords) -> str:
    done, planned = len([m for m in records.planned if m in records.trainings]), len(records.planned)
    text = f"{done} of {planned} models are trained"
    if records.newest is None:
        return f"{text}. This page shows what is there so far."
    text += f"; the newest is {records.newest}"
    first, now = records.scores.get(str(BASELINE)), records.scores.get(records.newest)
    if first and now and now is not first:
        gain = signed(100 * (now.mean_iou - first.mean_iou))
        text += f", with {percent(now.mean_iou, 1)} % mIoU, {gain} points against the baseline"
    return f"{text}. This page shows what is there so far."


def _gap(records: RunRecords) -> str:
    scores = records.scores
    bound = scores.get(str(UPPER_BOUND))
    if bound is None:
        return ""
    share = share_of_gap_closed(scores[str(FINAL)].mean_iou, scores[str(BASELINE)].mean_iou, bound.mean_iou)
    if share is None:
        return ""
    return (
        f", and closes {percent(share, 0)} % of the gap to a model trained with the camera's own labels "
        f"({percent(bound.mean_iou, 1)} %)"
    )


def _found(records: RunRecords, *kinds: str) -> list[str]:
    return (
        [finding.text for finding in records.health.findings if finding.kind in kinds]
        if records.health
        else []
    )


STAGES = (
    ("baseline", "Baseline"),
    ("self_training", "Self-training"),
    ("co_training", "Co-training"),
    ("final", "Final"),
)


def _scores(records: RunRecords) -> list[Number]:
    """Return the mIoU of the last model of each stage, and its gain."""
    first = records.scores.get(str(BASELINE))
    numbers = []
    for stage, title in STAGES:
        model = records.last_of_stage(stage)
        score = records.scores.get(model) if model else None
        if model is None or score is None:
            numbers.append(Number(title, MISSING, "not scored yet" if model else "not trained yet"))
            continue
        gain = 100 * (score.mean_iou - first.mean_iou) if first and stage != "baseline" else None
        note = "mIoU (%) without adaptation" if stage == "baseline" else "mIoU (%)"
        if gain is not None:
            note = f"{signed(gain)} points"
        tone: Tone = "neutral"
        # To gain over a model of no use is not good.
        is_useful = first is not None and first.mean_iou >= HARDLY_USABLE
        if gain is not None and abs(gain) >= 100 * TIE and is_useful:
            tone = "good" if gain > 0 else "bad"
        numbers.append(Number(_titled(title, model), percent(score.mean_iou, 1), note, tone))
    return numbers


def _titled(stage: str, model: str) -> str:
    """Return which model of a stage it is, in words."""
    name = ModelName.parse(model)
    if name.branch:
        return f"{stage}, cycle {name.number}, branch {name.branch}"
    return stage if name.number is None else f"{stage}, round {name.number}"


def _health(records: RunRecords) -> list[Number]:
    """Return what is known of the newest model without labels."""
    if records.health is None or records.newest_health is None:
        return []
    name, now = records.newest_health
    model = "the final model" if name == str(FINAL) else name
    missing, shown = now.missing_classes, len([share for share in records.health.source.values() if share])
    return [
        Number(
            "Missing classes",
            str(len(missing)),
            f"of {shown} that the source shows{': ' if missing else ''}{', '.join(missing)}",
            "warn" if missing else "neutral",
        ),
        Number(
            "Pixels kept",
            _with_unit(now.kept_share),
            f"of the photos that {model} learnt from have a label that a model made (a pseudo-label)",
            "warn" if now.kept_share is not None and now.kept_share < FEW_KEPT else "neutral",
        ),
        Number(
            "Same as before",
            _with_unit(now.agreement_with_before),
            f"of the pixels have the same class in {model} as in the model before it",
        ),
        Number(
            "Confidence",
            _with_unit(now.confidence),
            f"is how sure {model} is of {records.health.images} photos. It is no score: models are also sure "
            "of mistakes",
        ),
    ]


def _with_unit(share: float | None) -> str:
    return MISSING if share is None else f"{percent(share, 0)} %"


def _serious(records: RunRecords) -> Iterator[Note]:
    if not records.is_finished:
        for job, error in records.stopped.items():
            text = error if len(error) <= LONGEST_ERROR else f"{error[:LONGEST_ERROR]}… (in the log)"
            yield Note("bad", f"{job}: {text}")
    for text in _found(records, *BAD):
        yield Note("bad", text)


def _warnings(records: RunRecords) -> Iterator[Note]:
    is_collapsed = bool(_found(records, *BAD))
    if is_collapsed:
        yield Note("neutral", "Further warnings follow from the collapse; report/health.txt has them.")
    else:
        yield from _weaknesses(records)
    for note in records.notes:
        yield Note("warn", note)
    codes = {training.code for training in records.trainings.values()}
    if len(codes) > 1:
        yield Note(
            "warn",
            f"The models were trained by {len(codes)} different versions of the code, so their scores "
            "differ for "
            "other reasons too. Cost and trust, below, says which model has which.",
        )
    few = next((score.images for score in records.scores.values()), None)
    if few is not None and few < FEW_TEST_IMAGES:
        yield Note(
            "neutral", f"There are only {few} test images, so small differences between models say little."
        )
    is_compared = is_collapsed or str(UPPER_BOUND) in records.scores
    if records.is_finished and records.scores and not is_compared:
        text = (
            "How far this is from the best it could be is not known: no model was trained with the camera's"
        )
        text += " own labels to compare with"
        # Without labels of the target, none can be.
        can_be = may_have_labels(records.configuration, records.configuration.target)
        yield Note("neutral", f"{text} (the command is under Next)." if can_be else f"{text}.")


def _weaknesses(records: RunRecords) -> Iterator[Note]:
    for finding in records.health.findings if records.health else []:
        yield Note("warn" if finding.kind in WARNINGS else "neutral", finding.text)
    model = records.newest
    vanished = records.trainings[model].vanished_classes if model else []
    if vanished and not _found(records, "vanished"):
        names = ", ".join(vanished)
        text = f"Near the end of its training, {model} no longer predicted {names}, which its labels hold."
        yield Note("warn", text)
    yield from _weak_classes(records)


def _weak_classes(records: RunRecords) -> Iterator[Note]:
    """Say which classes the newest model hardly finds: a mean over classes hides them."""
    model = records.newest
    if model is None or model not in records.scores:
        return
    iou = {name: value for name, value in records.scores[model].iou.items() if value is not None}
    weak = sorted((name for name in iou if iou[name] < HARDLY_USABLE), key=lambda name: iou[name])
    if weak:
        named = listed([f"{name} ({percent(iou[name], 1)} %)" for name in weak])
        subject = "The final model" if model == str(FINAL) else model
        text = f"{subject} hardly finds {named}: so low is the IoU, the overlap with the truth."
        yield Note("warn", text)


def _short_schedule(records: RunRecords) -> Iterator[Note]:
    """Say which trainings are so short that nothing else need be wrong with a run."""
    if all(name in records.checks for name in records.plan.datasets):
        images = {name: check["images"] for name, check in records.checks.items()}
        for text in advice_on_schedule(records.configuration, images):
            yield Note("warn", f"A setting looks unintended: {text}.")


def _next_step(records: RunRecords, tone: Tone, is_known: bool) -> Iterator[Note]:
    """Say what to do next with a run that has ended; `is_known`: whether the first message is the cause."""
    if not records.is_finished:
        if records.stopped:
            text = "mend what the first message says, and give the same command again. It goes on from here"
            yield Note("neutral", f"What next: {text}.")
        return
    found = records.health.findings if records.health else []
    change = (
        "change what the first message above says, in the configuration of the run, and give the same "
        "command again: only what depends on it is made again"
    )
    is_known = is_known or (bool(found) and bool(records.scores) and found[0].kind in (*BAD, *WARNINGS))
    if is_known and tone != "good":
        text = change
    elif not records.scores:
        text = (
            "look at some photos below, for classes that fill places where they cannot be. Then label some "
            "photos of the camera, and add the lines that stand under Next: no model is trained again for "
            "scores"
        )
    elif tone == "good":
        text = "look below at what the model sees, and where it still fails. Next has the commands to use it"
    else:
        text = "look below, under Learning, for the model from which on the scores fall or stay"
    model = best_model(records)
    if model not in (records.newest, str(BASELINE)):
        text = f"use {model}, for which Next has the command, or {text}"
    yield Note("neutral", f"What next: {text}.")
