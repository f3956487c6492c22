"""Referring expressions: which objects they fit, and when nobody could say."""

from random import Random

import pytest

from jpai_agent.train.corpus import parse_text
from jpai_agent.train.referring import View, signature
from jpai_agent.train.views import ObjectView


def thing(kind="box", color="red", forward=4.0, left=0.0, size="medium", pixels=500, share=0.8):
    """An object at a place in base_link, its picture box from a camera 90° wide."""
    x = int(500 - 500 * left / forward)
    return ObjectView(kind, color, size, forward, left, 0.0, pixels, share, (x - 20, 400, x + 20, 480), (x, 440))


def fits(row, *objects):
    """(masks that fit, masks of plainly nothing) as sets of index tuples."""
    corpus, errors = parse_text(f"ref: {row}", "cart_x")
    assert not errors
    wanted = signature(corpus.refs[0])
    view = View(objects)
    return [f.objects for f in view.fitting(wanted)], len(view.failing(wanted))


def test_a_kind_fits_all_of_it():
    assert fits("{k} => kind", thing(), thing(color="blue", left=1), thing("cone", left=-1)) == ([(0, 1), (2,)], 0)


def test_the_word_for_people_covers_workers_and_not_the_other_way_round():
    found, _ = fits("{k} => kind", thing("person"), thing("worker", left=1))
    assert found == [(0, 1), (1,)]
    assert fits("人 => person", thing("person"), thing("worker", left=1))[0] == [(0, 1)]
    assert fits("作業員 => worker", thing("person"), thing("worker", left=1))[0] == [(1,)]


def test_a_persons_colour_is_said_by_the_clothes():
    assert fits("{c}{k} => kind color", thing("person")) == ([], 0)
    assert fits("{c}服の人 => person color", thing("person"), thing("person", "blue", left=1))[0] == [(0,), (1,)]


def test_a_barely_visible_candidate_makes_an_expression_unusable():
    assert fits("{k} => kind", thing(), thing(left=1, pixels=20)) == ([], 0)
    assert fits("{k} => kind", thing(), thing(left=1, share=0.03)) == ([], 0)
    assert fits("{k} => kind", thing(), thing(left=1, pixels=0))[0] == [(0,)]


def test_sizes_count_where_they_differ_visibly():
    small, large = thing(size="small"), thing(size="large", left=1)
    assert fits("{z}{k} => kind size", small, large)[0] == [(0,), (1,)]
    assert fits("{z}{k} => kind size", thing("pallet", size="medium"), thing("pallet", size="large", left=1))[0] == []
    assert fits("{z}{k} => kind size", thing("handcart", size="medium"))[0] == []


def test_order_is_by_the_picture_and_needs_a_margin():
    row = [thing(left=1.5), thing(left=0.0), thing(left=-1.5)]
    assert fits("一番左の{k} => kind leftmost", *row)[0] == [(0,)]
    assert fits("一番右の{k} => kind rightmost", *row)[0] == [(2,)]
    assert fits("真ん中の{k} => kind middle", *row)[0] == [(1,)]
    assert fits("一番左の{k} => kind leftmost", thing(left=0.1), thing(left=0.0))[0] == []
    assert fits("一番左の{k} => kind leftmost", thing())[0] == []


def test_ordinals_count_from_their_end_and_fail_beyond_the_other():
    row = [thing(left=1.5), thing(left=0.0), thing(left=-1.5)]
    found, none = fits("右から{n}番目の{k} => kind nth_right", *row)
    assert sorted(found) == [(0,), (1,), (2,)]
    assert none == 1
    assert fits("手前から{n}番目の{k} => kind nth_near", thing(forward=2), thing(forward=5))[0] == [(1,), (0,)]


def test_near_and_far_need_a_margin():
    assert fits("一番近い{k} => kind nearest", thing(forward=2), thing(forward=5, left=1))[0] == [(0,)]
    assert fits("一番遠い{k} => kind farthest", thing(forward=5), thing(forward=5.1, left=1))[0] == []


def test_a_side_is_half_of_the_view_where_only_one_can_be_meant():
    assert fits("左の{k} => kind left_side", thing(left=2), thing(left=-2))[0] == [(0,)]
    assert fits("左の{k} => kind left_side", thing(left=2), thing(left=1))[0] == []
    assert fits("左の{k} => kind left_side", thing(left=0.1))[0] == []


@pytest.mark.parametrize(("row", "left", "forward"), [
    ("{B.k}の左の{k} => kind left_of B", 1.0, 4.0), ("{B.k}の右の{k} => kind right_of B", -1.0, 4.0),
    ("{B.k}の隣の{k} => kind beside B", 1.0, 4.0), ("{B.k}の手前の{k} => kind front_of B", 0.0, 2.8),
    ("{B.k}の奥の{k} => kind behind B", 0.0, 5.5)])
def test_a_relation_holds_in_the_robots_view(row, left, forward):
    cone, far_box = thing("cone"), thing(forward=8.0, left=-7.0)
    assert (0,) in fits(row, thing(left=left, forward=forward), cone, far_box)[0]


def test_what_is_plainly_elsewhere_fails_and_what_is_arguable_is_left_out():
    cone = thing("cone")
    assert fits("{B.k}の隣の{k} => kind beside B", thing(left=3.8), cone) == ([], 2)
    assert (0,) not in fits("{B.k}の隣の{k} => kind beside B", thing(left=2.0), cone)[0]


def test_between_needs_two_landmarks_with_the_object_well_inside():
    row = "{B.k}と{C.k}の間の{k} => kind between B C"
    middle, *ends = thing(), thing("cone", left=1.5), thing("drum", left=-1.5)
    assert (0,) in fits(row, middle, *ends)[0]
    assert (0,) not in fits(row, thing(left=3.0), *ends)[0]


def test_a_landmark_must_be_unique_by_its_words():
    assert fits("{B.k}の隣の{k} => kind beside B", thing(left=1), thing("cone"), thing("cone", "blue",
                                                                                    left=-3))[0] == [(1,)]
    found, _ = fits("{B.c}{B.k}の隣の{k} => kind beside B", thing(left=1), thing("cone"), thing("cone", "blue",
                                                                                             left=-3))
    assert (0,) in found


def test_absent_is_of_what_is_not_in_view():
    corpus, _ = parse_text("ref: {c}{k} => kind color", "cart_x")
    view = View([thing(), thing("cone", "blue", left=1), thing("drum", "green", pixels=0)])
    found = [view.absent(signature(corpus.refs[0]), Random(seed)) for seed in range(50)]
    said = {(f.kind, f.color) for f in found if f}
    assert said
    assert not said & {("box", "red"), ("cone", "blue")}
    assert ("drum", "green") in said
