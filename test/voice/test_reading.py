"""Texts are read aloud as a person reads them."""

from __future__ import annotations

from pathlib import Path

import pytest
from said import everything_said

from jpai_agent.voice.manner import Manner
from jpai_agent.voice.reading import LONGEST_CHARS, reading, sentences

LISTED = Path(__file__).with_name("said_aloud.txt")


def listed() -> dict[str, str]:
    lines = LISTED.read_text(encoding="utf-8").splitlines()
    return dict(line.split("\t") for line in lines if line and not line.startswith("#"))


def test_everything_the_robot_says_is_listed_with_its_kana() -> None:
    assert set(everything_said()) - set(listed()) == set()


def test_everything_the_robot_says_is_read_as_listed() -> None:
    pytest.importorskip("pyopenjtalk")
    from jpai_agent.voice.synthesis import Synthesiser

    synthesiser = Synthesiser()
    assert {text: synthesiser.kana(text) for text in listed()} == listed()


@pytest.mark.parametrize(("text", "words"), [
    ("3m先", "3メートル先"), ("50cm手前", "50センチ手前"), ("1.5m", "1.5メートル"), ("２ｋｍ", "2キロ"), ("5 m", "5メートル"),
    ("30km/hで", "時速30キロで"), ("時速30km", "時速30キロ"), ("1.2m/s", "秒速1.2メートル"), ("秒速1.2m/s", "秒速1.2メートル"),
    ("残り30%です。", "残り30パーセントです。"), ("20℃", "20度"), ("90°", "90度"), ("1F", "1階"), ("12V", "12ボルト"),
    ("-5度", "マイナス5度"), ("−3m", "マイナス3メートル"), ("+2", "プラス2"), ("±3cm", "プラスマイナス3センチ"),
    ("2〜3秒", "2から3秒"), ("30cm~50cm", "30センチから50センチ"), ("3/4", "4分の3"), ("20cm×30cm", "20センチかける30センチ"),
    ("1:30", "1時30分"), ("9:05に", "9時5分に"), ("12:00", "12時"), ("1,000個", "1000個"), ("No.3", "3番"), ("#1", "1番"),
    ("5-10m先", "5から10メートル先"), ("10-15m", "10から15メートル"), ("3-5秒", "3から5秒"),
    ("30cm-50cm", "30センチから50センチ"), ("10-20km/h", "時速10から20キロ"), ("30〜40km/h", "時速30から40キロ"),
    ("-5〜-3度", "マイナス5からマイナス3度"),
    ("9:00〜17:30", "9時から17時30分"), ("9:00-17:30", "9時から17時30分"), ("2024-05-01", "2024年5月1日"),
    ("2024/12/10", "2024年12月10日"), ("バース1-2", "バース1の2"), ("1-3番の棚", "1の3番の棚"), ("A-3番", "A3番"),
    ("気温は-5度", "気温はマイナス5度"), ("右に-30度", "右にマイナス30度"), ("速度は-0.3m/s", "速度は秒速マイナス0.3メートル"),
    ("30㎡", "30平方メートル"), ("10m²の", "10平方メートルの"), ("1:2の割合", "1対2の割合"),
    ("3Aの棚", "3エーの棚"), ("棚の2A", "棚の2エー"), ("棚の12A", "棚の12エー"), ("5W番", "5ダブリュー番"),
    ("3Fの会議室", "3階の会議室"), ("200gの荷物", "200グラムの荷物"), ("10A", "10アンペア"),
])
def test_numbers_units_and_signs_are_words(text: str, words: str) -> None:
    assert reading(text) == words


@pytest.mark.parametrize(("text", "words"), [
    ("次左", "つぎ左"), ("次右、その先", "つぎ右、その先"), ("手前の角を右", "手前のかどを右"), ("角度は30度", "角度は30度"),
    ("三角コーンの角", "三角コーンのかど"), ("Uターンします。", "ユーターンします。"), ("8個", "はっ個"), ("18個", "18個"),
    ("人の後をついて", "人のあとをついて"), ("3秒の後に", "3秒のあとに"), ("午後に", "午後に"), ("人の後ろを", "人の後ろを"),
    ("建屋の中", "たてやの中"), ("荷捌き場", "にさばきば"), ("荷さばき場", "にさばきば"), ("LiDAR", "ライダー"),
])
def test_what_the_dictionary_reads_wrongly_is_given_in_kana(text: str, words: str) -> None:
    assert reading(text) == words


@pytest.mark.parametrize(("text", "words"), [
    ("「OK」と伝えます。", "OKと伝えます。"), ("😀こんにちは★", "こんにちは"), ("A・B", "A、B"), ("本当?", "本当？"),
    ("右 → 左", "右から左"), ("一、、二", "一、二"), ("待って…", "待って"),
    ("東京 - 大阪", "東京、大阪"), ("1.5", "1.5"), ("済み.次", "済み、次"),
])
def test_only_what_has_a_sound_is_left(text: str, words: str) -> None:
    assert reading(text).replace(" ", "") == words


@pytest.mark.parametrize("text", ["", "。", "……", "★", "「」", " \n\t", "\x00"])
def test_what_has_no_sound_is_empty(text: str) -> None:
    assert reading(text) == ""
    assert sentences(text) == []


def test_own_words_are_read_as_their_owner_says_and_the_longest_first() -> None:
    names = Manner(readings={"東扇島": "ひがしおうぎしま", "扇島": "おうぎしま"}).readings
    assert reading("東扇島と扇島", names) == "ひがしおうぎしまとおうぎしま"


def test_a_text_without_end_is_cut() -> None:
    assert len(reading("あ" * 100_000)) == LONGEST_CHARS


def test_a_text_is_cut_into_sentences_and_quotations_stay_whole() -> None:
    assert sentences("枠がありません。ほかを探しましょうか？") == ["枠がありません。", "ほかを探しましょうか？"]
    assert sentences("「止まれ！」と伝えます。はい") == ["「止まれ！」と伝えます。", "はい"]
    assert sentences("はい…。") == ["はい…。"]
