"""Samples of the car: counts, landmarks of the map, parking slots, speeds, and the vehicles that words mean."""

from random import Random

import numpy as np
import pytest

from jpai_agent.language.normalise import normalise
from jpai_agent.language.questions import ABOUT
from jpai_agent.plan import parse_plan
from jpai_agent.skills.registry import skills_for
from jpai_agent.train import lexicon_car
from jpai_agent.train.corpus import load_corpus, parse_text
from jpai_agent.train.instruct import Instructor
from jpai_agent.train.referring import View
from jpai_agent.train.symbolic import paint_shard
from jpai_agent.train.talk import CAR
from jpai_agent.train.views import FrameRecord, ObjectView

REFS = ("ref: {k} => kind\nref: {c}{k} => kind color\nref: 前の{k} => kind ahead\nref: 対向車線の{k} => kind oncoming\n"
        "ref: {c}服の人 => person color\n")


def thing(kind="car", color="red", forward=14.0, left=0.0, role="", pixels=500):
    x = int(500 - 500 * left / forward)
    return ObjectView(kind, color, "medium", forward, left, 0.0, pixels, 0.8, (x - 20, 400, x + 20, 480), (x, 440), role)


FRAME = FrameRecord(0, (
    thing(role="ahead"), thing("truck", "blue", left=-5.0, role="oncoming"), thing("person", "green", left=6.0),
    thing("hospital", "white", 25.0, 10.0)), "car")


def samples(row, frame=FRAME, outcome="act", count=40):
    corpus, errors = parse_text(REFS + row, "car_x")
    assert not errors
    instructor, view = Instructor(corpus, CAR), View(frame.objects, CAR.kinds)
    made = [instructor.fill(corpus.lines[0], outcome, frame, view, Random(seed)) for seed in range(count)]
    return [sample for sample in made if sample is not None]


def test_a_landmark_of_the_map_becomes_its_place_whether_it_is_in_view_or_not():
    for sample in samples("{P}の角を左 => turn_at left P when=at"):
        step = sample.plan.steps[0]
        assert list(step.args) == ["direction", "target", "when"]
        assert step.target.place in sample.places
        (first, last, fits, kind), = sample.place_counts
        assert sample.instruction[first:last] in (normalise(word).text for word in lexicon_car.lexicon.KIND_WORDS[
            step.target.place])
        assert (fits, kind) == (1, step.target.place)


def test_a_landmark_that_the_map_lacks_is_not_found():
    for sample in samples("{P}の前で停めて => pull_over P", outcome="absent"):
        assert (sample.plan.decision, sample.plan.reason) == ("ask", "not_found")
        assert sample.place_counts[0][2] == 0
        assert sample.plan.reply.endswith(ABOUT["not_found"])


def test_several_landmarks_in_view_make_it_ask_and_several_in_the_map_do_not():
    row = "{P}の前で停めて => pull_over P"
    assert not samples(row, outcome="ambiguous")
    two = FrameRecord(0, (thing("park", "green", left=8.0), thing("park", "green", left=-8.0)), "car")
    for sample in samples(row, two, "ambiguous"):
        assert sample.plan.reason == "ambiguous"
        assert sample.mentions == (0, 1)
    assert any("hospital_2" in s.places and s.plan.steps[0].target.place == "hospital" for s in samples(row, count=200))


def test_counts_slots_and_speeds_are_read_from_the_words():
    assert {s.plan.steps[0].args["nth"] for s in samples("{N}つ目の角を右 => turn_at right nth=N")} == {1, 2, 3, 4}
    assert {s.plan.steps[0].target.place for s in samples("{K}番に停めて => park K")} == {f"slot_{n}" for n in range(1, 7)}
    assert all(s.plan.steps[0].args["speed"] <= 30 for s in samples("{V}で走って => set_speed V"))
    assert all(s.plan.reason == "not_permitted" for s in samples("{V}で走って => set_speed V", outcome="refuse"))


def test_only_vehicles_are_followed():
    assert {s.targets for s in samples("{A}について行って => follow A", count=100)} == {(0,), (1,)}


def test_the_car_ahead_is_the_nearest_in_our_lane():
    frame = FrameRecord(0, (thing(role="ahead"), thing(forward=25.0, role="ahead"), thing(left=-5.0, role="oncoming")))
    view = View(frame.objects, CAR.kinds)
    from jpai_agent.train.referring import signature

    refs = parse_text(REFS, "car_x")[0].refs
    assert [f.objects for f in view.fitting(signature(refs[2]))] == [(0,)]
    assert [f.objects for f in view.fitting(signature(refs[3]))] == [(2,)]


def test_the_word_for_cars_may_mean_a_lorry_only_where_nobody_could_argue():
    from jpai_agent.train.referring import signature

    refs = parse_text(REFS, "car_x")[0].refs
    both, lorry = [thing(role="ahead"), thing("truck", "blue", left=-5.0)], [thing("truck", "blue")]
    named = [(f.kind, f.objects) for f in View(both, CAR.kinds).fitting(signature(refs[0]))]
    assert named == [("car", (0,)), ("truck", (1,))]
    r = Random(0)
    missing = [View(lorry, CAR.kinds).absent(signature(refs[0]), r, CAR.kinds) for _ in range(200)]
    assert "car" not in {referent.kind for referent in missing if referent}


def test_every_plan_over_the_whole_corpus_is_one_that_the_car_can_parse():
    instructor, shard, rng = Instructor(load_corpus("car"), CAR), paint_shard(60, 3, "car"), np.random.default_rng(2)
    skills: set[str] = set()
    for index in range(60):
        for sample in instructor.samples(shard.record(index), rng, 8):
            assert parse_plan(sample.plan.to_json(), skills_for("car")) == sample.plan
            assert normalise(sample.instruction).text == sample.instruction
            assert sample.robot == "car"
            skills |= {step.skill for step in sample.plan.steps}
    assert skills == set(skills_for("car"))


@pytest.mark.parametrize("too_fast", [False, True])
def test_speeds_are_said_in_kilometres_an_hour(too_fast):
    for seed in range(200):
        words, kmh = lexicon_car.speed(Random(seed), too_fast)
        assert normalise(words).text.replace("時速", "").startswith(f"{kmh:g}")
        assert (kmh > lexicon_car.SPEED_LIMIT_KMH) == too_fast


def test_distances_mean_their_metres():
    for seed in range(200):
        for bounds in ((0.0, 1000.0), lexicon_car.STANDOFF_RANGE_M):
            words, metres = lexicon_car.distance("手前", Random(seed), bounds)
            assert normalise(words).text.startswith(f"{metres:g}")
            assert bounds[0] <= metres <= bounds[1]
