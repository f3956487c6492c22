"""What the spotter's training says: stop words in many forms, what sounds like them, and what else is said near a robot.

Readings are written in kana where kanji could be read in two ways. Whether a text is a stop is never decided here but by
`language.stop`, which also sorts out what a list holds by mistake.
"""

from __future__ import annotations

from random import Random

from jpai_agent.language import replies
from jpai_agent.language.stop import only_stop, stop_word
from jpai_agent.language.stop_words import NOT_STOPS
from jpai_agent.train.voice.sentences import Sentence


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


# the word that is told → how it is said; the first is the word by itself
FAMILIES: dict[str, tuple[str, ...]] = {
    "止まれ": ("とまれ", "とまれ", "とまれー", "とまれっ", "とまれーー", "とーまれ", "とまれよ", "とまりなさい", "とまれってば"),
    "止まって": ("とまって", "とまって", "とまってー", "とまってっ", "とまってよ", "とまってください", "とまってくれ",
                 "とまってってば", "とまってくださーい", "とまってちょうだい", "とまってんか"),
    "止めて": ("とめて", "とめて", "とめてー", "とめろ", "とめろー", "とめてください", "とめてよ", "とめてくれ"),
    "ストップ": ("ストップ", "ストップ", "ストーップ", "ストップー", "ストッープ", "ストップだ", "ストップしろ",
                 "ストップしてください"),
    "待って": ("まって", "まって", "まってー", "まってよ", "まってください", "まってくれ", "おまちください", "まってくださーい",
               "まってね"),
    "待て": ("まて", "まて", "まてー", "まてっ", "まてよ", "まてい"),
    "危ない": ("あぶない", "あぶない", "あぶなーい", "あぶないっ", "あぶねえ", "あぶないぞ", "あぶないよ", "あぶなーいっ"),
    "やめろ": ("やめろ", "やめろ", "やめろー", "やめて", "やめて", "やめてー", "やめてください", "やめなさい", "やめろって",
               "やめてくれ"),
    "動くな": ("うごくな", "うごくな", "うごくなー", "うごくなよ", "うごかないで", "うごかないでください", "うごかないで"),
    "ブレーキ": ("ブレーキ", "ブレーキ", "ブレーキー", "ブレーキかけて", "ブレーキ踏んで", "急ブレーキ", "ブレーキをかけて"),
    "停止": ("停止", "停止", "停止しろ", "停止せよ", "停止してください", "一時停止", "急停止"),
    "緊急停止": ("緊急停止", "緊急停止", "非常停止", "非常停止", "緊急停止しろ", "緊急停止して"),
}
WORDS: tuple[str, ...] = tuple(FAMILIES)
BEFORE = _words("""
    ちょっと ちょっと ちょ おい おい、 こら、 あ、 あっ、 わあ、 うわっ、 だめ、 だめだめ、 いや、 ねえ、 もう、 はやく すぐ
    すぐに いますぐ いったん ここで そこで その場で いいから、 とにかく まずい、 やばい、 あぶない、 ロボット、 カート、
    運転手さん、 すみません、 ごめん、 お願い、 違う、 人がいるから、 人がいる、 ぶつかる、 頼むから、 え、 ほら、 ゆっくり
    一回 緊急、 みんな、 お願いだから ねえ、ちょっと
""")
_STEMS = (*dict.fromkeys(form.strip("ーっ") for forms in FAMILIES.values() for form in forms[:2]),
          "とめろ", "やめて", "うごかないで", "非常停止", "あぶねえ")
# sounds alike, said alone or with what follows; those that stop.py takes for stops are left out
ALIKE = _words("""
    とまと トマト 泊まれる 泊まります とまった とまらない とまりました とまりません とまれない とまるな とまらないで
    とまらずに とまってた とまっている とまってない とまってる とめた とめない とめないで とめてある 決まって 閉まって 困って
    貼って 持って 買って 待ってた 待ってる 待ってない 待っていた 待っても 待ってから まったく 泊まった ストック スタッフ
    ステップ ストロー スナップ トップ ストレス ストーブ スープ コップ ストップウォッチ スリップ スタート ストーリー ストライプ
    ポップ アップ ためて 溜めて 求めて 認めて 初めて 詰めて 眺めて まとめて まとめろ あつまれ 集まって 始まって はまって
    だまれ 黙って 余って あぶら 油 浴びない 危なかった 危なくない 少ない つまらない 足りない 甘い あぶない場所 若い やめる
    やめた やめない 夢 姫 雨 動く 動ける 動くね 動き 動くなら 動かない 動いた 動かして ブレーク プレート クレーン フレーム
    ケーキ ステーキ デッキ ペンキ グレー ブルー レンキ ブレーキランプ 緊急 緊急連絡 天使 提出 停止線 停止位置 停止中 定時 電子
    平成 定食 程度 低姿勢 姿勢 提示 製紙 経師 まで まだ また マット バット 当てて なんで さて 的 待てない 待てる 待ち時間 町
    街 的に マテリアル まって来た やって 行って 言って 切って 知って 取って 立って はい うん いいえ ちがう そうそう ありがとう
    おはよう お疲れ様 進め 進んで 行け 出発 右 左 まっすぐ もっと速く ゆっくり 曲がって 戻って 下がって 続けて どうぞ
    とまりに来た とまり木 とめがね 友達 となり 隣の箱 遠まわり 年寄り ともだち とても ところで とまっていた車 とまれの標識
    とまれの看板 ストップの看板 バス停まで バス停 終わった 泣かないで 行かないで 触らないで 動かさないで やってみろ 決めろ
    止まり木 まてどくらせど あまって あて名 ヤマト 八百屋 屋根 山手 大和 止まりそう 病院 非常口 非常識 異常 日常 きんきん 金曜
    近況 ていうか ていねい 停電 定員 定規 ストップしないで ストップせずに ノンストップ やめないで ブレーキをかけないで
    ブレーキの音
""")
_OWN = _words("""
    はい、わかりました。 充電ステーションまで行きます。 赤い箱の前まで行きます。 ドラム缶の手前で止まります。
    倉庫に着きました。 止まりました。 止まっています。 10秒待ちます。 進みます。 続けます。 青い服の人についていきます。
    次の交差点を左に曲がります。 停止線で止まります。 路肩に停まります。 台車を探します。 時速20キロで走ります。
    充電に戻ります。 人がいるので待っています。 止まりますか。 お待たせしました。 赤い箱の前、でよろしいですか。
    右に90度回ります。 赤い箱と青い箱、どちらですか。 少し待ってから進みます。 緊急停止しました。 ブレーキをかけました。
    コンビニの前に停めて、1分待ってから、道なりに進みます。
""")


def stops(r: Random, count: int) -> list[Sentence]:
    """Stop words: alone, drawn out, repeated, with a call before them or politeness after; all words equally often.

    `written` is the word of WORDS that is to be told.
    """
    made: list[Sentence] = []
    while len(made) < count:
        word = WORDS[len(made) % len(WORDS)]
        form = r.choice(FAMILIES[word])
        text, shape = form, r.random()
        if shape < 0.3:
            text = r.choice(BEFORE) + form
        elif shape < 0.4:
            text = form + "、" + r.choice(FAMILIES[word])
        elif shape < 0.45:
            text = form * 2
        text += r.choice(("", "", "！", "。"))
        if only_stop(text):
            made.append(Sentence(text, word, "stop"))
    return made


def earliest(text: str) -> float:
    """Share of a stop's characters after which it could be told: where the first stop word in it ends."""
    text = text.rstrip("！。")
    for end in range(2, len(text)):
        head, rest = text[:end], text[end:]
        # とめ of とめて: the word goes on
        within = any(head.endswith(stem[:cut]) and rest.startswith(stem[cut:])
                     for stem in _STEMS for cut in range(1, len(stem)))
        if not within and only_stop(head):
            return end / len(text)
    return 1.0


def alike(r: Random, count: int) -> list[Sentence]:
    """What sounds like a stop word and is none, said alone."""
    phrases = [phrase for phrase in (*ALIKE, *NOT_STOPS) if not stop_word(phrase, True)]
    made: list[Sentence] = []
    while len(made) < count:
        text = r.choice(phrases) + r.choice(("", "", "", "。", "ね", "よ", "です", "の", "は", "？"))
        if kind_of(text) == "other":
            made.append(Sentence(text, "", "alike"))
    return made


def own(r: Random) -> list[Sentence]:
    """What the robot says: its failures, questions and replies."""
    fixed = [text.replace("{label}", "赤い箱") for text in replies.FAILURES.values()]
    return [Sentence(text, "", "own") for text in (*fixed, *_OWN)]


def kind_of(text: str) -> str:
    """"stop" where a stop is all that is said, "either" where one stands in a longer sentence, else "other".

    A moving cart is stopped for the second by the recogniser's path; the spotter may tell it or not.
    """
    if only_stop(text):
        return "stop"
    return "either" if stop_word(text, True) else "other"
