"""Who waits for what a thread does, and until when."""

import math
import time

import pytest

from jpai_agent.vlm import VlmError
from jpai_agent.vlm.patience import Patience, check_patience, left_s, waiting


def test_who_waits_within_a_wait_waits_no_longer_than_that():
    outer = Patience(time.monotonic() + 60.0)
    with waiting(outer):
        with waiting(Patience(time.monotonic() + 600.0)):
            assert 0.0 < left_s() <= 60.0
            check_patience()
            outer.called_off = True
            with pytest.raises(VlmError, match="called off"):
                check_patience()
        with pytest.raises(VlmError, match="called off"):
            check_patience()
    assert left_s() == math.inf
