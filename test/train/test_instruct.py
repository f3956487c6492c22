"""Samples: what a line of the corpus comes to over a frame, and that plan, words, points and labels agree."""

from random import Random

import numpy as np
import pytest

from jpai_agent.language.normalise import normalise
from jpai_agent.language.questions import MISSING, question_about
from jpai_agent.plan import parse_plan
from jpai_agent.skills.registry import skills_for
from jpai_agent.train.augment import as_read
from jpai_agent.train.corpus import Corpus, load_corpus, parse_text
from jpai_agent.train.instruct import Instructor
from jpai_agent.train.referring import View
from jpai_agent.train.scenes import random_scene
from jpai_agent.train.talk import CART
from jpai_agent.train.views import FrameRecord, ObjectView

REFS = "ref: {k} => kind\nref: {c}{k} => kind color\nref: {c}服の人 => person color\nref: 人 => person\n"


def thing(kind="box", color="red", forward=4.0, left=0.0, size="medium", pixels=500):
    x = int(500 - 500 * left / forward)
    return ObjectView(kind, color, size, forward, left, 0.0, pixels, 0.8, (x - 20, 400, x + 20, 480), (x, 440))


RED_BOX, BLUE_CONE, DRUM = thing(), thing("cone", "blue", left=1.5), thing("drum", "green", left=-1.5)
FRAME = FrameRecord(3, (RED_BOX, BLUE_CONE, DRUM))


def samples(row, frame=FRAME, outcome="act", count=40):
    """What the line comes to in `count` tries, failed ones left out."""
    corpus, errors = parse_text(REFS + row, "cart_x")
    assert not errors
    instructor, view = Instructor(corpus), View(frame.objects)
    made = [instructor.fill(corpus.lines[0], outcome, frame, view, Random(seed)) for seed in range(count)]
    return [sample for sample in made if sample is not None]


def test_a_unique_referent_is_pointed_at_with_the_words_that_were_said():
    for sample in samples("{A}まで行って => go_to A"):
        target = sample.plan.steps[0].target
        assert target.label in sample.instruction
        assert target.camera == "front"
        assert target.point == FRAME.objects[sample.targets[0]].point
        (start, end), = sample.label_spans
        assert sample.instruction[start:end] == target.label


def test_options_that_are_not_said_are_left_out():
    assert {tuple(s.plan.steps[0].args) for s in samples("{A}まで行って => go_to A")} == {("target",)}
    sample = samples("{A}の裏{D}のとこ => go_to A side=behind standoff=D")[0]
    assert tuple(sample.plan.steps[0].args) == ("target", "standoff_m", "side")


def test_several_candidates_make_it_ask_which():
    frame = FrameRecord(0, (RED_BOX, thing(left=1.5)))
    for sample in samples("{A}まで行って => go_to A", frame, "ambiguous"):
        label = sample.instruction[slice(*sample.label_spans[0])]
        assert (sample.plan.decision, sample.plan.reason) == ("ask", "ambiguous")
        assert sample.plan.reply == question_about("ambiguous", label)
        assert sample.mentions == (0, 1)


def test_nothing_that_fits_makes_it_say_so():
    for sample in samples("{A}まで行って => go_to A", outcome="absent"):
        label = sample.instruction[slice(*sample.label_spans[0])]
        assert sample.plan.reason == "not_found"
        assert sample.plan.reply == question_about("not_found", label)


@pytest.mark.parametrize("missing", MISSING)
def test_an_incomplete_instruction_makes_it_ask_for_what_is_missing(missing):
    for sample in samples(f"いつもの頼む => ask incomplete {missing}\n前へ => move 1.0", outcome="ask"):
        assert (sample.plan.reason, sample.plan.reply) == ("incomplete", MISSING[missing])


def test_what_only_a_later_step_needs_waits_for_its_frame():
    found = samples("{P}に寄って{A}へ => go_to P; go_to A", count=200)
    deferred = [s for s in found if s.plan.steps[1].target.deferred]
    assert deferred
    assert all("deferred" in s.tags and not s.targets for s in deferred)


def test_waiting_changes_no_view_so_what_is_missing_after_it_is_asked_for():
    assert all(s.plan.reason == "not_found" for s in samples("{T}待って{A}へ => wait T; go_to A", outcome="absent"))


def test_what_is_looked_for_has_its_label_alone_and_so_has_what_follows():
    for sample in samples("{A}探してそこまで行って => look_for A; go_to A"):
        look, go = sample.plan.steps
        assert look.args["label"] == go.target.label
        assert go.target.deferred
        assert not sample.targets


def test_a_condition_is_settled_from_the_frame():
    decided = {(bool(s.targets), s.plan.steps[0].skill) for s in
               samples("{A}があれば行って、なければ待って => if A: go_to A else: wait 5", outcome="condition")}
    assert decided == {(True, "go_to"), (False, "wait")}


def test_a_pronoun_takes_its_label_from_the_earlier_turn():
    for sample in samples("{A}を見て >> そこまで行って => go_to A"):
        assert sample.label_spans == ((-1, -1),)
        assert sample.plan.steps[0].target.label in sample.earlier
        assert sample.running
        assert not sample.question


def test_an_answer_picks_one_of_what_the_earlier_words_fit():
    frame = FrameRecord(0, (RED_BOX, thing(color="blue", left=1.5), BLUE_CONE))
    for sample in samples("{A.k}まで行って ? {A.c}ほう => go_to A", frame):
        assert sample.question
        assert sample.targets[0] in (0, 1)
        assert sample.plan.steps[0].target.label.endswith(("ほう", "方"))


def test_the_other_colour_after_a_box_is_a_box():
    frame = FrameRecord(0, (RED_BOX, thing(color="blue", left=1.5), BLUE_CONE))
    pairs = {(s.mentions, s.targets) for s in samples("{A.c}{A.k}まで >> ごめん、{B.c}ほう => go_to B", frame,
                                                      count=100)}
    assert pairs
    assert all(target[0] in (0, 1) for _, target in pairs)


def test_only_people_are_followed():
    frame = FrameRecord(0, (RED_BOX, thing("person", "blue", left=1.0), thing("worker", "red", left=-1.0)))
    assert {s.targets[0] for s in samples("{A}についてって => follow A", frame)} <= {1, 2}


def test_speeds_beyond_the_limit_are_refused():
    assert all(s.plan.reason == "not_permitted" for s in samples("{V}で走って => set_speed V", outcome="refuse"))
    assert all(s.plan.steps[0].args["speed"] <= 1.2 for s in samples("{V}で走って => set_speed V"))


def test_the_same_seed_gives_the_same_samples():
    corpus, _ = parse_text(REFS + "{A}まで行って => go_to A\nはい => continue", "cart_x")
    first, second = (Instructor(corpus).samples(FRAME, np.random.default_rng(5), 20) for _ in range(2))
    assert first == second
    assert len(first) == 20


def records(count):
    """Frames of random scenes as if nothing hid anything: the geometry without rendering."""
    rng = np.random.default_rng(11)
    for index in range(count):
        scene = random_scene(rng)
        x, y, heading = scene.robot_pose
        turn = np.array([[np.cos(np.radians(heading)), np.sin(np.radians(heading))],
                         [-np.sin(np.radians(heading)), np.cos(np.radians(heading))]])
        views = []
        for o in scene.objects:
            forward, left = turn @ (np.array(o.pose[:2]) - [x, y])
            seen = forward > 1 and abs(left) < forward - 0.3
            px = int(np.clip(500 - 500 * left / max(forward, 0.5), 0, 1000))
            views.append(ObjectView(o.kind, o.shown_color, o.size or "medium", float(forward), float(left), 0.0,
                                    400 * seen,
                                    0.7 * seen, (px - 10, 400, px + 10, 450), (px, 425)))
        yield FrameRecord(index, tuple(views))


@pytest.fixture(scope="module")
def many():
    instructor, rng = Instructor(load_corpus()), np.random.default_rng(2)
    return [(frame, sample) for frame in records(150) for sample in instructor.samples(frame, rng, 8)]


def test_labels_points_and_spans_agree_over_the_whole_corpus(many):
    for frame, sample in many:
        targets = [step.target for step in sample.plan.steps if step.target is not None]
        assert [t.point for t in targets if t.point] == [frame.objects[i].point for i in sample.targets]
        assert all(frame.objects[i].clear for i in sample.targets)
        labels = [t.label for t in targets if t.label] + [s.args["label"] for s in sample.plan.steps
                                                          if "label" in s.args]
        said = [sample.instruction[a:b] for a, b in sample.label_spans if a >= 0]
        if sample.plan.decision == "act":
            assert len(labels) == len(sample.label_spans)
            assert set(said) <= set(labels)
            assert all(label in sample.instruction or label in sample.earlier for label in labels)


def test_every_plan_is_one_that_the_cart_can_parse(many):
    for _, sample in many:
        assert parse_plan(sample.plan.to_json(), skills_for("cart")) == sample.plan


def test_instructions_are_what_the_robot_would_read(many):
    for _, sample in many:
        assert normalise(sample.instruction).text == sample.instruction
        assert "{" not in sample.instruction + sample.earlier


def test_the_mix_is_near_what_is_asked_for(many):
    share = {reason: sum(s.plan.reason == reason for _, s in many) / len(many) for reason in ("ambiguous", "not_found")}
    assert abs(share["ambiguous"] - CART.outcomes["ambiguous"]) < 0.05
    assert abs(share["not_found"] - CART.outcomes["absent"]) < 0.05
    skills = [step.skill for _, s in many for step in s.plan.steps]
    assert 0.3 < skills.count("go_to") / len(skills) < 0.55
    assert len(set(skills)) >= 11


@pytest.mark.parametrize("text", ["３秒　待って", "一メートル半前", "二番目の箱", "四十五度、右！", "一番右のコーン",
                                  "２ｍ"])
def test_texts_are_read_as_the_language_part_reads_them(text):
    assert as_read(text) == normalise(text).text


def test_an_empty_corpus_gives_nothing():
    assert Instructor(Corpus((), ())).samples(FRAME, np.random.default_rng(0), 3) == []
