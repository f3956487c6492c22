"""The corpus: its format, its errors, and the authors that are held out."""

import pytest

from jpai_agent.train.corpus import TEST_AUTHORS, CorpusError, Slot, authors, load_corpus, parse_text


def only_line(row):
    corpus, errors = parse_text(row, "cart_x")
    assert not errors
    return corpus.lines[0]


def only_error(row):
    _, errors = parse_text(row, "cart_x")
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


def test_the_whole_corpus_can_be_read():
    corpus = load_corpus()
    assert len(corpus.lines) > 1000
    assert len(corpus.refs) > 150
    assert not {line.author for line in corpus.lines} & set(TEST_AUTHORS)
