"""Japanese in, Japanese out: what is said is cleaned and checked for stop words; what the robot says is worded.

`stop` looks at the raw text before anything else does; `answers` finds the no to what was read back. `normalise` makes the text
that the model reads, with `numbers` for numerals beside counters. `replies` words plans, questions, refusals and failures in
です・ます. Nothing here decides what an instruction means: that is the model's work.
"""

from jpai_agent.language.answers import only_no
from jpai_agent.language.normalise import MAX_CHARS, InstructionError, Utterance, normalise
from jpai_agent.language.replies import FAILURES, ask_or_refuse, failure, plan_reply
from jpai_agent.language.stop import STOP_WORDS, only_stop, stop_word

__all__ = [
    "FAILURES", "MAX_CHARS", "STOP_WORDS", "InstructionError", "Utterance", "ask_or_refuse", "failure", "normalise",
    "only_no", "only_stop", "plan_reply", "stop_word",
]
