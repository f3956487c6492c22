"""The words that fill the corpus's slots: kinds, colours, sizes, places, ordinals, amounts, sayings.

Each draw gives (words, value); values are in the plan's units (s, m, deg, m/s). Draws take a `random.Random` because a
sample needs dozens of them; it is seeded from the caller's numpy generator.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from jpai_agent.language.numbers import KANJI_DIGITS, kanji_number
from jpai_agent.train.characters import COMMON_KANJI
from jpai_agent.world.map import load_map

# first entries are the usual words and are drawn more often
KIND_WORDS: dict[str, tuple[str, ...]] = {
    "box": ("箱", "段ボール", "段ボール箱", "ダンボール", "ボックス", "はこ", "ダンボール箱"),
    "cone": ("コーン", "パイロン", "カラーコーン", "三角コーン"),
    "drum": ("ドラム缶", "ドラムかん", "ドラム"),
    "pallet": ("パレット", "荷物パレット"),
    "bin": ("ゴミ箱", "ごみ箱", "ごみばこ", "くず入れ", "くずかご", "ダストボックス"),
    "chair": ("椅子", "イス", "いす", "チェア"),
    "desk": ("机", "テーブル", "デスク", "つくえ"),
    "shelf": ("棚", "ラック", "たな", "シェルフ"),
    "plant": ("植木", "鉢植え", "植物", "観葉植物", "植木鉢", "鉢植えの木"),
    "ball": ("ボール", "球", "玉"),
    "bucket": ("バケツ", "ばけつ"),
    "handcart": ("台車", "手押し車", "手押し台車"),
    "sign": ("看板", "立て看板", "標識", "かんばん"),
    "person": ("人", "ひと", "人物", "歩行者"),
    "worker": ("作業員", "作業者", "作業員さん", "スタッフ", "ヘルメットの人", "ヘルメットをかぶった人"),
    "child": ("子ども", "子供", "こども", "お子さん", "小さい子", "キッズ"),
    "car": ("車", "クルマ", "くるま", "乗用車", "自動車"),
    "kei_truck": ("軽トラ", "軽トラック", "けいとら", "軽のトラック"),
    "truck": ("トラック", "とらっく", "大型トラック", "貨物トラック"),
    "bus": ("バス", "路線バス", "ばす", "大型バス"),
    "bicycle": ("自転車", "チャリ", "じてんしゃ", "チャリンコ", "ママチャリ"),
    "barrier": ("バリケード", "柵", "工事の柵", "バリケ", "フェンス"),
    "convenience_store": ("コンビニ", "コンビニエンスストア", "こんびに", "ファミマ", "ローソン", "セブン"),
    "post_office": ("郵便局", "ゆうびんきょく", "郵便局さん"),
    "gas_station": ("ガソリンスタンド", "ガソスタ", "スタンド", "給油所", "ガススタ"),
    "hospital": ("病院", "びょういん", "クリニック", "医院"),
    "station": ("駅", "えき", "電車の駅"),
    "park": ("公園", "こうえん", "児童公園"),
    "school": ("学校", "小学校", "がっこう", "中学校"),
    "vending_machine": ("自販機", "自動販売機", "じはんき", "ジュースの自販機"),
    "bus_stop": ("バス停", "停留所", "バスてい", "バス乗り場", "バスの停留所"),
}

# as they stand before a noun
COLOR_WORDS: dict[str, tuple[str, ...]] = {
    "red": ("赤い", "赤の", "赤色の", "真っ赤な", "レッドの", "あかい"),
    "blue": ("青い", "青の", "青色の", "ブルーの", "あおい", "真っ青な"),
    "yellow": ("黄色い", "黄色の", "イエローの", "きいろい"),
    "green": ("緑の", "緑色の", "グリーンの", "みどりの"),
    "white": ("白い", "白の", "白色の", "真っ白な", "ホワイトの", "しろい"),
    "black": ("黒い", "黒の", "真っ黒な", "黒色の", "ブラックの", "くろい"),
    "orange": ("オレンジの", "オレンジ色の", "橙色の", "だいだい色の"),
    "purple": ("紫の", "紫色の", "パープルの", "むらさきの"),
    "brown": ("茶色い", "茶色の", "茶の", "ブラウンの", "ちゃいろの"),
    "pink": ("ピンクの", "ピンク色の", "桃色の"),
    "gray": ("灰色の", "グレーの", "グレー色の", "ねずみ色の"),
}
SIZE_WORDS: dict[str, tuple[str, ...]] = {
    "small": ("小さい", "小さな", "ちっちゃい", "小さめの", "ちいさい", "小型の", "ちっこい", "ちっちゃな"),
    "medium": ("中くらいの", "中ぐらいの", "普通サイズの", "中サイズの", "中くらいの大きさの"),
    "large": ("大きい", "大きな", "でかい", "デカい", "大きめの", "おっきい", "大型の", "でっかい", "おおきい"),
}
_MORE_PLACE_WORDS: dict[str, tuple[str, ...]] = {
    "dock": ("充電スポット", "充電のところ"), "entrance": ("いりぐち", "入口のところ"),
    "exit": ("でぐち", "出口のところ"),
    "office": ("じむしょ", "事務所のとこ"), "storage": ("そうこ", "倉庫のとこ"),
    "berth_1": ("１番バース", "1番のバース", "バースの1番"), "berth_2": ("２番バース", "2番のバース", "バースの2番"),
    "berth_3": ("３番バース", "3番のバース", "バースの3番"),
}
PLACE_WORDS: dict[str, tuple[str, ...]] = {
    place.id: tuple(dict.fromkeys((*place.names, *_MORE_PLACE_WORDS.get(place.id, ()))))
    for place in load_map("yard").places
}
SAYINGS: tuple[str, ...] = (
    "荷物です", "通ります", "こんにちは", "おはようございます", "お疲れさまです", "失礼します", "ありがとうございます",
    "すみません", "道を空けてください", "荷物をお届けに来ました", "お待たせしました", "気をつけてください",
    "後ろを通ります", "右側を通ります", "部品が届きました", "休憩の時間です", "お昼ですよ", "いらっしゃいませ",
    "ようこそ", "こちらへどうぞ", "お先にどうぞ", "少々お待ちください", "作業が終わりました", "準備ができました",
    "トラックが来ました", "書類を持ってきました", "お弁当が届きました", "足元にご注意ください",
    "そろそろ閉める時間です", "検品をお願いします", "サインをお願いします", "受け取ってください", "いってらっしゃい",
    "おかえりなさい", "今行きます", "もうすぐ着きます", "会議が始まります", "電話が鳴っています", "忘れ物です",
    "ここで待っています", "ご案内します", "ついてきてください", "危ないですよ", "ここは立入禁止です",
    "写真はご遠慮ください", "水を飲んでくださいね", "お客様がお見えです", "配達に来ました", "おはよう", "ごめんなさい",
    "がんばって", "ご苦労さま", "また明日", "了解です", "出発します", "到着しました", "終わったよ", "ありがとう",
    "通してね", "手伝って",
)
_SAY_WHO = ("田中さん", "佐藤さん", "鈴木さん", "山田さん", "課長", "主任", "班長", "店長", "高橋さん", "みなさん",
            "お客様", "伊藤さん", "木村さん", "工場長")
_SAY_WHAT = ("、お届け物です", "、荷物が届いています", "、お電話です", "、会議の時間です", "、事務所までお願いします",
             "、こんにちは", "、お疲れさまです", "が呼んでいます", "、休憩してください", "、こちらへどうぞ",
             "、トラックが着きました", "、確認をお願いします", "、お昼にしましょう", "、ありがとう")

DURATIONS_S = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 20, 25, 30, 40, 45, 60, 90, 120, 150, 180, 300)
_DURATION_WEIGHTS = (3, 5, 9, 4, 10, 3, 3, 3, 10, 2, 6, 6, 2, 6, 2, 1, 5, 2, 3, 1, 2, 1)
DISTANCES_M = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 1.0, 1.2, 1.5, 1.8, 2.0, 2.5, 3.0, 3.5, 4.0, 5.0)
_DISTANCE_WEIGHTS = (2, 4, 6, 3, 9, 2, 2, 4, 10, 2, 8, 1, 9, 3, 6, 1, 2, 2)
STANDOFF_RANGE_M = (0.2, 3.0)
ANGLES_DEG = (10, 15, 20, 30, 40, 45, 50, 60, 70, 80, 90, 100, 120, 135, 150, 180, 270, 360)
_ANGLE_WEIGHTS = (2, 2, 2, 6, 1, 7, 1, 5, 1, 1, 12, 1, 3, 2, 1, 4, 1, 1)
SPEEDS_MPS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2)
SPEEDS_KMH = (1, 1.5, 1.8, 2, 2.5, 3, 3.6, 4)
TOO_FAST_MPS = (1.5, 1.8, 2, 2.5, 3, 4, 5, 8, 10)
TOO_FAST_KMH = (5, 6, 8, 10, 12, 15, 20, 25, 30, 40, 60)

_ODD = 0.2  # share of amounts that are not the usual round ones, so that numbers are read and not recognised

_WIDE = str.maketrans("0123456789.", "０１２３４５６７８９．")
# what may follow a number with くらい or the like put in between
_AFTER_DURATION = "待まと止停そ静じつ追休追動立お"
_AFTER_DISTANCE = "前後手離進バ下さ戻動い行移走直ま空あ近右左う残"
_KANA_COUNT = ("", "ひと", "ふた", "みっ", "よっ", "いつ")


def number(value: float, r: Random) -> str:
    """A number in digits, wide digits or (whole ones, and n.5 as n点五) kanji."""
    whole = abs(value - round(value)) < 1e-9
    plain = str(round(value)) if whole else f"{value:g}"
    which = r.random()
    if which < 0.62:
        return plain
    if which < 0.76:
        return plain.translate(_WIDE)
    if whole and 0 < value < 10000:
        return kanji_number(round(value))
    return plain


def draw(words: Sequence[str], r: Random) -> str:
    """One of the words, the first ones more often."""
    n = len(words)
    return words[min(int(r.random() ** 1.7 * n), n - 1)]


def kind_word(kind: str, r: Random) -> str:
    """A noun for this kind of object."""
    return draw(KIND_WORDS[kind], r)


def color_word(color: str, r: Random) -> str:
    """A colour before a noun."""
    return draw(COLOR_WORDS[color], r)


def size_word(size: str, r: Random) -> str:
    """A size before a noun."""
    return draw(SIZE_WORDS[size], r)


def place_word(place: str, r: Random) -> str:
    """A name of this place of the map."""
    return draw(PLACE_WORDS[place], r)


def ordinal(n: int, after: str, r: Random) -> str:
    """The number before 番目, つ目 or 個目 (`after` begins with one of them)."""
    if after.startswith("つ"):
        which = r.random()
        if which < 0.3 and n < len(_KANA_COUNT):
            return _KANA_COUNT[n]  # ふた + つ目
        return str(n) if which < 0.55 else str(n).translate(_WIDE) if which < 0.65 else KANJI_DIGITS[n]
    which = r.random()
    return str(n) if which < 0.55 else str(n).translate(_WIDE) if which < 0.7 else KANJI_DIGITS[n]


def duration(after: str, r: Random) -> tuple[str, float]:
    """A duration and its seconds. `after` is the text that follows it."""
    seconds = r.randint(1, 60) if r.random() < _ODD else r.choices(DURATIONS_S, _DURATION_WEIGHTS)[0]
    if seconds >= 60 and (seconds % 30 == 0) and r.random() < 0.85:
        minutes, rest = divmod(seconds, 60)
        words = f"{number(minutes, r)}分" + ("半" if rest else "")
    elif r.random() < 0.05 and seconds <= 10:
        words = ("", "いち", "に", "さん", "よん", "ご", "ろく", "なな", "はち", "", "じゅう")[seconds] + "びょう"
    else:
        words = f"{number(seconds, r)}秒"
    words += _about(after, _AFTER_DURATION, ("間", "くらい", "ほど", "ぐらい", "だけ", "間だけ"), r)
    return words, float(seconds)


def distance(after: str, r: Random, range_m: tuple[float, float] = (0.0, 100.0)) -> tuple[str, float]:
    """A distance within range_m and its metres. `after` is the text that follows it."""
    metres = -1.0
    while not range_m[0] <= metres <= range_m[1]:
        metres = _odd_distance(r) if r.random() < _ODD else r.choices(DISTANCES_M, _DISTANCE_WEIGHTS)[0]
    which = r.random()
    if metres < 1 and which < 0.85:
        words = number(round(metres * 100), r) + r.choice(("センチ", "センチ", "cm", "ｃｍ", "センチメートル"))
    elif metres == 0.5 and which < 0.95:
        words = "半メートル"
    elif metres in (1.5, 2.5, 3.5) and which < 0.45:
        words = number(int(metres), r) + r.choice(("メートル", "m")) + "半"
    elif r.random() < 0.1:
        words = f"{metres:g}メーター"
    else:
        words = number(metres, r) + r.choice(("メートル", "メートル", "m", "ｍ"))
    return words + _about(after, _AFTER_DISTANCE, ("くらい", "ほど", "ぐらい", "だけ"), r), metres


def angle(after: str, r: Random) -> tuple[str, float]:
    """An angle and its degrees. `after` is the text that follows it."""
    degrees = 5 * r.randint(1, 72) if r.random() < _ODD else r.choices(ANGLES_DEG, _ANGLE_WEIGHTS)[0]
    if degrees == 90 and after.startswith("に") and r.random() < 0.5:
        return "直角", 90.0
    return (number(degrees, r) + "度" if r.random() < 0.93 else f"{degrees}°"), float(degrees)


def speed(r: Random, too_fast: bool = False) -> tuple[str, float]:
    """A speed and its m/s, rounded to centimetres; too_fast: one above the cart's limit."""
    if r.random() < 0.35:
        kmh = r.choice(TOO_FAST_KMH if too_fast else SPEEDS_KMH)
        return "時速" + number(kmh, r) + r.choice(("キロ", "キロメートル", "km")), round(kmh / 3.6, 2)
    mps = r.choice(TOO_FAST_MPS if too_fast else SPEEDS_MPS)
    if not too_fast and r.random() < _ODD:
        mps = r.randint(2, 24) * 5 / 100
    if mps < 1 and r.random() < 0.25:
        return r.choice(("秒速", "毎秒")) + number(round(mps * 100), r) + r.choice(("センチ", "cm")), float(mps)
    words = number(mps, r)
    form = r.random()
    if form < 0.6:
        return r.choice(("秒速", "秒速", "毎秒")) + words + r.choice(("メートル", "m")), float(mps)
    return words.translate(str.maketrans("０１２３４５６７８９．", "0123456789.")) + "m/s" if form < 0.9 else \
        words + "メートル毎秒", float(mps)


def _odd_distance(r: Random) -> float:
    """Any distance that one might say: centimetres in fives below a metre, decimetres above."""
    return r.randint(2, 19) * 5 / 100 if r.random() < 0.5 else r.randint(10, 100) / 10


def saying(r: Random, sayings: Sequence[str] = SAYINGS) -> str:
    """A short sentence for the robot to say; some name people by any kanji, so that each of them is copied now and then."""
    which = r.random()
    if which < 0.55:
        return r.choice(sayings)
    if which < 0.75:
        who = "".join(r.choices(COMMON_KANJI, k=r.choice((1, 2, 2, 3)))) + r.choice(("さん", "様", "先生", "駅", "町"))
        return who + r.choice(_SAY_WHAT)
    return r.choice(_SAY_WHO) + r.choice(_SAY_WHAT)


def _about(after: str, fits: str, words: Sequence[str], r: Random) -> str:
    return r.choice(words) if after[:1] and after[0] in fits and r.random() < 0.22 else ""
