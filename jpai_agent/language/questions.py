"""What the embedded model asks back: sentences around a label that it copies, and one for each thing an instruction can lack.

They are pieces of its vocabulary, so a change here needs a newly trained model. All end in 。: a question mark has two widths.
"""

from __future__ import annotations

from collections.abc import Mapping

# after the words for what was meant, by reason; both fit things, people and places
ABOUT: Mapping[str, str] = {
    "not_found": "が見当たりません。どのあたりでしょうか。",
    "ambiguous": "が複数見えます。どちらのことでしょうか。",
}
# by what an incomplete instruction lacks
MISSING: Mapping[str, str] = {
    "where": "どこまで行きましょうか。",
    "what": "どちらのことでしょうか。",
    "way": "どちらの向きでしょうか。",
    "much": "どのくらい動きましょうか。",
    "long": "どのくらいの間でしょうか。",
    "fast": "どのくらいの速さにしましょうか。",
    "words": "何とお伝えしましょうか。",
    "task": "何をいたしましょうか。",
}


def question_about(reason: str, label: str) -> str:
    """The question about something that is not there ("not_found") or there more than once ("ambiguous").

    label: The user's words for it. Raises KeyError for another reason.
    """
    return label + ABOUT[reason]
