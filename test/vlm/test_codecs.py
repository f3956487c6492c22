"""Every family's points end up as x, y in 0..1000, and the probe tells how a model writes them."""

import json

import pytest

from jpai_agent.vlm import PlanAnswer, VlmError
from jpai_agent.vlm.codecs import CODECS, PROBE_POINT, codec_for, probe, probe_image

SIZE = (640, 480)


def plan(point):
    step = {"skill": "go_to", "target": {"label": "箱", "camera": "front", "point": list(point)}, "standoff_m": 0.8}
    return json.dumps({"decision": "act", "steps": [step], "reason": None}, ensure_ascii=False, separators=(",", ":"))


@pytest.mark.parametrize(("codec", "written"), [("xy1000", (250, 700)), ("yx1000", (700, 250)), ("abs_px", (160, 336))])
def test_points_are_brought_to_one_convention_and_nothing_else_changes(codec, written):
    assert CODECS[codec].rewrite(plan(written), SIZE) == plan((250, 700))


def test_a_text_without_points_and_a_broken_text_stay_as_they_are():
    for text in (
        "",
        '{"decision":"ask","steps":[],"reason":"unsafe"}',
        plan((700, 250))[:-20],
        '{"point":[1.5,2]}',
        "😱",
    ):
        if '"point":[7' not in text:
            assert CODECS["yx1000"].rewrite(text, SIZE) == text
    assert CODECS["yx1000"].rewrite('{"a":1,"a":2,"point":[7,9]}', SIZE) == '{"a":1,"a":2,"point":[9,7]}'


def test_a_point_outside_the_image_stays_outside_no_further_than_the_edge():
    assert '"point":[1000,' in CODECS["abs_px"].rewrite(plan((900, 10)), SIZE)


@pytest.mark.parametrize(("family", "codec"), [("florence2", "xy1000"), ("qwen2_5_vl", "abs_px"), ("gemma4", "yx1000"),
                                               ("new", "xy1000")])  # fmt: skip
def test_families_have_the_convention_that_they_document(family, codec):
    assert codec_for(family).name == codec


def test_the_probe_image_is_asymmetric_and_always_the_same():
    image = probe_image()
    assert (image == probe_image()).all()
    red = (image[..., 0] > 180) & (image[..., 1] < 90)
    rows, columns = red.nonzero()
    assert abs(columns.mean() / 0.640 - PROBE_POINT[0]) < 5
    assert abs(rows.mean() / 0.480 - PROBE_POINT[1]) < 5


def ask(*point):
    return lambda request: PlanAnswer(plan(point))


@pytest.mark.parametrize(
    ("written", "best"),
    [((255, 690), "xy1000"), ((690, 255), "yx1000"), ((163, 331), "abs_px"), ((20, 20), None), ((999, 0), None)],
)
@pytest.mark.parametrize("expected", ["xy1000", "yx1000"])
def test_the_probe_finds_the_convention_that_a_model_really_speaks(written, best, expected):
    found = probe(ask(*written), expected, lambda image: SIZE)
    assert found.best == best
    assert found.contradicts == (best not in (None, expected))


def test_a_model_that_does_not_point_at_the_probe_tells_nothing():
    found = probe(
        lambda request: PlanAnswer('{"decision":"ask","steps":[],"reason":"not_found"}'), "xy1000", lambda image: SIZE
    )
    assert found.best is None
    assert not found.contradicts


@pytest.mark.parametrize("code", ["plan_error", "model_unavailable"])
def test_a_model_that_comes_to_no_plan_of_the_probe_tells_nothing_and_one_that_fails_says_so(code):
    def fail(request):
        raise VlmError(code, "no end")

    if code == "plan_error":
        assert probe(fail, "xy1000", lambda image: SIZE).best is None
    else:
        with pytest.raises(VlmError, match="no end"):
            probe(fail, "xy1000", lambda image: SIZE)
