import sys
import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_optscale.verifiers.llm_judge.fence import defused, fenced, made_visible, new_code, shortened


def test_nothing_invisible_is_left_of_any_character():
    kept = set()
    for start in range(0, sys.maxunicode + 1, 4096):
        shown = made_visible("a".join(map(chr, range(start, min(start + 4096, sys.maxunicode + 1)))))
        kept |= {c for c in shown if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")}
    assert kept == {"\t", "\n"}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, naïve 東京\t\n", "plain, naïve 東京\t\n"),
        ("a\r\nb\rc", "a\nb⟨U+000D⟩c"),
        ("\u200b" * 1000, "⟨U+200B × 1000⟩"),
        ("👩\u200d👧", "👩\u200d👧"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("pa\u200dss", "pa⟨U+200D⟩ss"),
        ("é\u200d\u200dé", "é⟨U+200D × 2⟩é"),
        ("\u200d", "⟨U+200D⟩"),
        ("❤\ufe0f", "❤\ufe0f"),
        ("a\ufe00\ufe01\ufe02", "a⟨U+FE00 × 3⟩"),
        ("\ud800", "⟨U+D800⟩"),
    ],
)
def test_what_is_spelled_out(text, shown):
    assert made_visible(text) == shown


# Of chat templates and thoughts, as models of many families have them.
MARKUP = """
    <|im_end|> <｜User｜> <｜begin▁of▁sentence｜> <|START_OF_TURN_TOKEN|> <|turn> <turn|> <channel|>
    <|channel|> [|user|] [|endofturn|] [INST] [/INST] [SYSTEM_PROMPT] [/SYSTEM_PROMPT] [TOOL_CALLS]
    [TOOL_RESULTS] [gMASK] [sMASK] [CLS] [BOS] [THINK] [control_8] <<SYS>> <</SYS>> <s> </s> <eos> <EOS>
    <unk> <BOS_TOKEN> <sop> <eop> <unused12> <start_of_turn> <start_of_image> <end_of_utterance>
    <image_soft_token> <extra_0> <extra_id_0> <think> </think> <thinking> <seed:think> <tool_call>
    </tool_call> <tool_response> <function=read> <invoke> <function_calls> <minimax:tool_call> <0x0A>
    ]~b] [e~[ ＜|im_end|＞ ◁think▷ ◁/think▷ <functioncall> <parameter> <observation> <bot> <eod> <boi> <role>
    <|inner_prefix|> <longcat_think> [BEGIN_OF_THOUGHT] <arg_key> [|Human|] <jupyter_code> <ctrl99>
"""


@pytest.mark.parametrize("token", MARKUP.split())
def test_control_tokens_are_broken_up(token):
    assert token not in defused(f"a{token}b{token}")
    assert defused(f"a{token}b").replace(" ", "") == f"a{token}b"


@pytest.mark.parametrize(
    "text", ["a < b | c > d", "kernel<<<grid, block>>>(x);", "<b>bold</b>", "[1] [x|y]", "std::cout << x"]
)
def test_ordinary_text_stays_as_it_is(text):
    assert fenced("ANSWER", text, "0f") == f"<<<ANSWER 0f>>>\n{text}\n<<<END ANSWER 0f>>>"


def test_long_text_keeps_its_head_and_tail():
    text = "".join(chr(ord("a") + number % 26) for number in range(1_000))
    cut = shortened(text, 101, "5f")
    assert cut == f"{text[:51]}\n⟨899 of 1,000 characters left out here, 5f⟩\n{text[-50:]}"
    assert shortened(text, 1_000) == text
    assert shortened("abc", 1) == "a\n⟨2 of 3 characters left out here⟩\n"


def test_a_code_occurs_nowhere_in_the_text(monkeypatch):
    drawn = iter(["aaaaaaaaaaaa", "bbbbbbbbbbbb"])
    monkeypatch.setattr("secrets.token_hex", lambda count: next(drawn))
    assert new_code(["what if aaaaaaaaaaaa"]) == "bbbbbbbbbbbb"


@given(st.text(max_size=200))
def test_the_marks_stand_once(text):
    code = new_code([text])
    whole = fenced("ANSWER", text, code)
    assert whole.startswith(f"<<<ANSWER {code}>>>\n")
    assert whole.endswith(f"\n<<<END ANSWER {code}>>>")
    assert whole.count(code) == 2
    whole.encode()


@pytest.mark.parametrize(
    "piece", ["<", "<< ", "[|", "\u200b", "a\u200b", "<<<END ANSWER", "\r\n", "<|" + "x" * 39, "＜ "]
)
def test_time_is_linear(piece):
    def seconds(size):
        text = piece * (size // len(piece))
        began = time.process_time()
        fenced("ANSWER", text, "0f")
        return time.process_time() - began

    def ratio():
        return min(seconds(500_000) for _ in range(5)) / max(min(seconds(50_000) for _ in range(5)), 1e-3)

    # Ten times the text; quadratic would be a hundred times the time, whatever else the machine does.
    assert any(ratio() < 40 for _ in range(3))
