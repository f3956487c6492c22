"""A request without a usable frame or words is refused with its reason before any model runs."""

import numpy as np
import pytest

from jpai_agent.vlm import PlanRequest, VlmError, check_image
from jpai_agent.vlm.backend import ERROR_CODES

GRAIN = np.random.default_rng(0).integers(0, 256, (480, 640, 3), dtype=np.uint8)


def test_a_frame_of_any_usable_size_passes():
    for height, width in ((480, 640), (64, 64), (720, 1280)):
        check_image(np.resize(GRAIN, (height, width, 3)))


@pytest.mark.parametrize(
    ("image", "code"),
    [
        (None, "image_encoding"),
        ("frame.png", "image_encoding"),
        (GRAIN.tolist(), "image_encoding"),
        (GRAIN.astype(np.float32), "image_encoding"),
        (GRAIN[..., 0], "image_encoding"),
        (np.concatenate([GRAIN, GRAIN[..., :1]], axis=2), "image_encoding"),
        (GRAIN.transpose(2, 0, 1), "image_encoding"),
        (GRAIN[:0], "image_size"),
        (GRAIN[:1, :1], "image_size"),
        (np.zeros((64, 5000, 3), np.uint8), "image_size"),
        (np.zeros((480, 640, 3), np.uint8), "image_black"),
        (np.full((480, 640, 3), 9, np.uint8), "image_black"),
        (GRAIN % 10, "image_black"),
        (np.full((480, 640, 3), 200, np.uint8), "image_black"),
    ],
)
def test_an_unusable_frame_is_an_error_with_its_reason(image, code):
    with pytest.raises(VlmError) as caught:
        check_image(image, "front")
    assert caught.value.reason_code == code
    assert "front" in str(caught.value)


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (PlanRequest("  ", {"front": GRAIN}), "empty"),
        (PlanRequest("行って", {}), "image_missing"),
        (PlanRequest("行って", {"front": GRAIN, "tele": GRAIN[:2]}), "image_size"),
    ],
)
def test_a_request_with_nothing_to_plan_from_is_refused(request_, code):
    with pytest.raises(VlmError) as caught:
        request_.check()
    assert caught.value.reason_code == code


@pytest.mark.parametrize("code", ERROR_CODES)
def test_every_error_can_be_said(code):
    assert VlmError(code, "why").reply.endswith(("。", "？"))
    assert not VlmError(code, "why").reply.startswith("すみません、うまくいきませんでした")
