"""The corpus: its format, its errors, and the authors that are held out."""

import pytest

from jpai_agent.train.corpus import TEST_AUTHORS, CorpusError, authors, held_out_authors, load_corpus, parse_text
from jpai_agent.train.meanings import Slot


def only_line(row, author="cart_x"):
    corpus, errors = parse_text(row, author)
    assert not errors
    return corpus.lines[0]


def only_error(row, author="cart_x"):
    _, errors = parse_text(row, author)
    assert len(errors) == 1
    return errors[0]


def test_a_line_has_its_words_its_slots_and_its_steps():
    line = only_line("{A}で{T}待って、{P}へ => go_to A side=behind; wait T; go_to P")
    assert line.text == (("", "A"), ("で", ""), ("", "T"), ("待って、", ""), ("", "P"), ("へ", ""))
    assert [(s.skill, s.target, s.args) for s in line.meaning.steps] == [
        ("go_to", "A", (("side", "behind"),)), ("wait", None, (("duration_s", Slot("T")),)), ("go_to", "P", ())]


def test_a_minus_negates_the_slot_and_numbers_stand_for_themselves():
    assert only_line("{D}下がって => move -D").meaning.steps[0].args == (("distance_m", Slot("D", -1)),)
    assert only_line("右向いて => turn -90").meaning.steps[0].args == (("angle_deg", -90.0),)
    assert only_line("半分で => set_speed x0.5").meaning.steps[0].args == (("factor", 0.5),)


def test_follow_ends_after_a_time_or_with_its_target():
    assert only_line("{A.p}に{T}ついてって => follow A until=T").meaning.steps[0].args == (("duration_s", Slot("T")),)
    assert only_line("{A.p}が止まるまで => follow A until=target_stops").meaning.steps[0].args == (("until",
                                                                                              "target_stops"),)


def test_earlier_turns_and_answers_are_told_apart():
    assert only_line("{A}まで >> やっぱ{B} => go_to B").relation == ">>"
    assert only_line("{A.k}まで ? {A.c}ほう => go_to A").relation == "?"


def test_a_condition_has_two_branches():
    meaning = only_line("{A}があれば行って、なければ{P} => if A: go_to A; wait 3 else: go_to P").meaning
    assert (meaning.condition, len(meaning.steps), meaning.otherwise[0].target) == ("A", 2, "P")


def test_tags_hold_until_the_next_tags():
    corpus, _ = parse_text("@tags a b\nはい => continue\n@tags c\nはい => continue", "cart_x")
    assert [line.tags for line in corpus.lines] == [("a", "b"), ("c",)]


@pytest.mark.parametrize(("row", "said"), [
    ("行って", "TEXT => MEANING"),
    ("{A}へ => fly A", "unknown skill 'fly'"),
    ("{X}へ => stop", "unknown slot {X}"),
    ("行って => go_to A", "the meaning uses A"),
    ("待って => wait T", "the meaning uses T"),
    ("{A}へ => go_to A side=top", "no option 'side=top'"),
    ("はい => ask nicely", "ask needs one of"),
    ("{A へ => go_to A", "a brace without its partner"),
    ("@tag x", "unknown directive"),
    ("ref: {k} => kind reddest", "unknown filter 'reddest'"),
    ("ref: {c}{k} => kind", "{c} in the text and its filter"),
    ("ref: {k} => kind beside B", "landmarks"),
])
def test_a_bad_line_is_named_by_file_number_and_fault(row, said):
    error = only_error("# first\n" + row)
    assert error.startswith("cart_x.txt:2: ")
    assert said in error


def test_loading_raises_with_every_bad_line(tmp_path):
    (tmp_path / "cart_x.txt").write_text("行って\nはい => continue\n{Z} => stop\n", encoding="utf-8")
    with pytest.raises(CorpusError, match=r"(?s)2 bad lines.*cart_x\.txt:1.*cart_x\.txt:3"):
        load_corpus("cart", folder=tmp_path)


def test_held_out_authors_are_never_among_the_training_files(tmp_path):
    for name in ("cart_a", TEST_AUTHORS[0], "car_a"):
        (tmp_path / f"{name}.txt").write_text("はい => continue\n", encoding="utf-8")
    assert authors("cart", tmp_path) == ("cart_a",)
    assert held_out_authors("car") == ("car_t", "car_u")


def car_steps(meant, said="{A}{P}{N}つ目{K}番{V}"):
    return [(s.skill, s.target, dict(s.args)) for s in only_line(f"{said} => {meant}", "car_x").meaning.steps]


def test_a_turn_of_the_car_counts_crossings_or_lights_or_names_a_landmark():
    assert car_steps("turn_at left") == [("turn_at", None, {"direction": "left"})]
    assert car_steps("turn_at left nth=1 at=crossing") == car_steps("turn_at left")
    assert car_steps("turn_at right nth=N at=light") == [
        ("turn_at", None, {"direction": "right", "nth": Slot("N"), "at": "light"})]
    assert car_steps("turn_at left P when=before") == [("turn_at", "P", {"direction": "left", "when": "before"})]


def test_what_a_skill_does_anyway_is_left_out():
    assert car_steps("pull_over P where=beside; stop_at A where=before") == [("pull_over", "P", {}), ("stop_at", "A", {})]
    assert car_steps("pull_over P where=before; stop_at A where=after")[0][2] == {"where": "before"}


def test_the_car_parks_in_the_first_free_slot_or_a_numbered_one():
    assert [target for _, target, _ in car_steps("park; park K; park 3")] == ["parking", "K", "slot_3"]


def test_the_car_stops_at_lines_drives_distances_and_follows_until():
    assert car_steps("stop_at line; drive; drive A; follow A until=target_turns") == [
        ("stop_at", None, {"at": "stop_line"}), ("drive", None, {}), ("drive", "A", {}),
        ("follow", "A", {"until": "target_turns"})]
    assert car_steps("drive 50; set_speed V") == [
        ("drive", None, {"distance_m": 50.0}), ("set_speed", None, {"speed": Slot("V")})]


@pytest.mark.parametrize(("row", "said"), [
    ("行って => go_to P", "unknown skill 'go_to'"),
    ("曲がって => turn_at back", "turn_at needs one of left"),
    ("{P}を左 => turn_at left P", "a landmark and when= together"),
    ("{P}を左 => turn_at left P when=before nth=2", "not both"),
    ("7番に停めて => park 7", "park takes nothing, K or 1..6"),
    ("{P}について => follow P", "follow takes no target 'P'"),
    ("{G}向いて => stop", "unknown slot {G}"),
    ("次の{N}つ目 => park K", "the meaning uses K"),
])
def test_a_bad_line_of_the_car_is_named_too(row, said):
    assert said in only_error(row, "car_x")


@pytest.mark.parametrize("robot", ["cart", "car"])
def test_the_whole_corpus_can_be_read(robot):
    corpus = load_corpus(robot)
    assert len(corpus.lines) > 1000
    assert len(corpus.refs) > 60
    assert not {line.author for line in corpus.lines} & set(TEST_AUTHORS)
