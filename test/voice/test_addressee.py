"""Talk beside a robot is told from orders to it, by the letters."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from jpai_agent.voice.addressee import BUCKETS, FILE, Addressee, AddresseeError, features
from jpai_agent.world.paths import resource

ORDERS = ("赤い箱の前まで行って", "次の信号左", "ちょっとそこで止めて", "コンビニの前で停めてくれる？", "右のやつ", "はい",
          "3m進んで", "やっぱり青", "倉庫までお願いします", "もうちょいゆっくり", "あの人についてって")
TALK = ("昨日の会議、結局何時に終わったんだっけ", "うちの子、来月から小学校なんですよ", "お疲れさまでした、先に失礼します",
        "その話、田中さんから聞いたけど本当なのかな", "天気予報だと夕方から雨らしいよ")


@pytest.fixture(scope="module")
def addressee() -> Addressee:
    return Addressee(resource("models", "voice"))


@pytest.mark.parametrize("text", ORDERS)
def test_orders_and_answers_are_taken_to_be_for_the_robot(addressee: Addressee, text: str) -> None:
    assert addressee(text) > 0.5


@pytest.mark.parametrize("text", TALK)
def test_talk_is_not(addressee: Addressee, text: str) -> None:
    assert addressee(text) < 0.5


def test_width_katakana_and_marks_make_no_difference(addressee: Addressee) -> None:
    assert addressee("ストップの標識のところまで。") == addressee("すとっぷの標識のところまで")


def test_anything_has_a_probability(addressee: Addressee) -> None:
    for text in ("", " ", "?!", "𠮷" * 3, "a" * 10_000, "\x00"):
        assert 0.0 <= addressee(text) <= 1.0


def test_runs_of_letters_know_where_the_text_begins_and_ends() -> None:
    assert set(features("左")) != set(features("左左"))
    assert all(0 <= bucket < BUCKETS for bucket in features("次の角を左"))


def test_missing_and_damaged_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(AddresseeError, match=FILE):
        Addressee(tmp_path)
    (tmp_path / FILE).write_bytes(b"PK\x03\x04 nothing")
    with pytest.raises(AddresseeError, match=FILE):
        Addressee(tmp_path)
    np.savez(tmp_path / FILE, weights=np.zeros(3, np.int8), scale=1.0, bias=0.0)
    with pytest.raises(AddresseeError, match="shape"):
        Addressee(tmp_path)
    np.savez(tmp_path / FILE, weights=np.zeros(BUCKETS, np.int8), scale=1.0)
    with pytest.raises(AddresseeError, match=FILE):
        Addressee(tmp_path)
