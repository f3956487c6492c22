"""What recognisers write down where nothing was said: phrases of the subtitles that they learned from, and loops.

Whisper and its kin answer silence, noise and music with the endings of videos (Koenecke et al., "Careless Whisper", FAccT 2024;
Barański et al., "Investigation of Whisper ASR Hallucinations Induced by Non-Speech Audio", ICASSP 2025). None of these is an
instruction to a robot, so that nothing is lost when they are dropped.
"""

from __future__ import annotations

import re

from jpai_agent.language.stop import fold


def _phrases(text: str) -> tuple[str, ...]:
    """The phrases of a text, cut at white space; an underscore stands for a space."""
    return tuple(phrase.replace("_", " ") for phrase in text.split())


# whole utterances, as people write them; compared without marks, width, elongation and the kana that they are written in
PHRASES: tuple[str, ...] = _phrases("""
    ご視聴ありがとうございました ご視聴ありがとうございます ご視聴いただきありがとうございました
    ご視聴いただきありがとうございます 最後までご視聴ありがとうございました 最後までご視聴いただきありがとうございました
    最後までご覧いただきありがとうございました 最後まで見てくださってありがとうございました
    ご覧いただきありがとうございました ご覧いただきありがとうございます ご清聴ありがとうございました
    ごしちょうありがとうございました ごしちょうありがとうございます ごせいちょうありがとうございました
    ご静聴ありがとうございました 見てくれてありがとう ありがとうございました どうもありがとうございました
    チャンネル登録お願いします チャンネル登録お願いいたします チャンネル登録よろしくお願いします
    チャンネル登録よろしくお願いいたします チャンネル登録をお願いします チャンネル登録をよろしくお願いします
    チャンネル登録と高評価お願いします チャンネル登録と高評価をお願いします チャンネル登録高評価お願いします
    高評価チャンネル登録よろしくお願いします 高評価とチャンネル登録お願いします よかったらチャンネル登録お願いします
    この動画が気に入ったらチャンネル登録お願いします 高評価よろしくお願いします コメント欄で教えてください
    次の動画でお会いしましょう また次の動画でお会いしましょう それではまた次の動画でお会いしましょう
    次回の動画でお会いしましょう また次回お会いしましょう それではまた次回 次回もお楽しみに 次回予告 では次回もお楽しみに
    また見てね バイバイ おわり 完 字幕 字幕視聴ありがとうございました 字幕作成 字幕提供 字幕制作 提供は
    この番組はご覧のスポンサーの提供でお送りします この番組はご覧のスポンサーの提供でお送りしました
    本日はご覧いただきありがとうございます 今日もご視聴いただきありがとうございました お疲れ様でした おやすみなさい 拍手
    音楽 笑い 歓声 ため息 咳 無音 エンディング BGM Thank_you_for_watching Thanks_for_watching Please_subscribe
    Subtitles_by_the_Amara.org_community Thank_you
""")
# whatever comes after: names of those who subtitled
_BEGINNINGS: tuple[str, ...] = ("字幕by", "字幕作成者", "subtitlesby", "翻訳字幕")
# one piece over and over, six times at least
_LOOP = re.compile(r"(.{1,12}?)\1{5,}.{0,3}")

_PHRASES = frozenset(fold(phrase).replace(" ", "") for phrase in PHRASES)


def invented(text: str) -> bool:
    """True for what a recogniser makes up where nothing was said: a known phrase, once or again and again, or a loop."""
    folded = fold(text).replace(" ", "")
    # as it is written too: folding takes elongation out
    if _LOOP.fullmatch(folded) or _LOOP.fullmatch(text.strip()) or folded.startswith(_BEGINNINGS):
        return True
    return bool(folded) and _made_of_phrases(folded)


def _made_of_phrases(folded: str) -> bool:
    """Whether a folded text is known phrases, one after the other."""
    reached = {0}
    for end in range(1, len(folded) + 1):
        if any(folded[start:end] in _PHRASES for start in reached):
            reached.add(end)
    return len(folded) in reached
