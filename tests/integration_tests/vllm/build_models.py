"""Build the tiny models of these tests; run by the interpreter of vLLM's environment, where torch is.

`python build_models.py DIRECTORY LESSONS.json [FILE.gguf]` writes these models into the directory:

- `policy`: a Llama with random weights and a chat template, whose samples all differ, and end when they must;
- `classifier`: a Llama with one label, its head fitted to the lessons: it knows these right answers from these wrong
  ones, and nothing else; `logits.json` has what transformers computes for each right answer and each wrong one;
- `prm`: Qwen2.5-Math-PRM's architecture with random weights, two labels for each step;
- `decider`: a Qwen3, an architecture whose decisions vLLM serves, with random weights; yes and no are one token each;
- `smollm2`, where the file of SmolLM2-135M-Instruct is given: the same model in float32, for what needs
  a model that can read and write.

A lesson is `{"question", "right", "wrong"}`. Heads have dimension 32: with 16, vLLM's CPU engine dies.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    LlamaForSequenceClassification,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2Model,
    Qwen3Config,
    Qwen3ForCausalLM,
)

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<extra_0>"]
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
CONTEXT = 4096
SIZES: dict[str, Any] = {
    "hidden_size": 128,
    "intermediate_size": 256,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "max_position_embeddings": CONTEXT,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
# With the usual 0.02 a random network is nearly blind to its input; this lets scores depend on it, and smoothly.
SPREAD = 0.1
LOGIT = 2.0


def tokenizer() -> PreTrainedTokenizerFast:
    """One token a byte, and the special ones: any text can be read and written."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: number for number, token in enumerate([*SPECIAL, *alphabet])}
    inner = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    inner.add_special_tokens(SPECIAL)
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        bos_token="<|im_start|>",  # noqa: S106 - a marker of the chat template
        eos_token="<|im_end|>",  # noqa: S106
        pad_token="<|endoftext|>",  # noqa: S106
        additional_special_tokens=["<extra_0>"],
        chat_template=CHAT_TEMPLATE,
        model_max_length=CONTEXT,
    )


def build_decider(directory: Path) -> None:
    """A causal language model whose labels are single tokens."""
    torch.manual_seed(0)
    words = tokenizer()
    words.add_tokens(["yes", "no"])
    config = Qwen3Config(**SIZES, head_dim=32, vocab_size=len(words), initializer_range=0.05, dtype="float32")
    Qwen3ForCausalLM(config).save_pretrained(directory)
    words.save_pretrained(directory)


def build_policy(directory: Path, words: PreTrainedTokenizerFast) -> None:
    """A causal language model."""
    torch.manual_seed(0)
    config = LlamaConfig(**SIZES, vocab_size=len(words), initializer_range=0.05, dtype="float32")
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        # The first component of the hidden state is made a constant, and speaks against the special tokens: an answer
        # that happened to end with its first token would be an empty one.
        model.model.embed_tokens.weight[:, 0] = 1.0
        for layer in model.model.layers:
            layer.self_attn.o_proj.weight[0] = 0.0
            layer.mlp.down_proj.weight[0] = 0.0
        model.lm_head.weight[: len(SPECIAL), 0] = -10.0
    model.save_pretrained(directory)
    words.save_pretrained(directory)


def build_classifier(directory: Path, words: PreTrainedTokenizerFast, lessons: list[dict[str, str]]) -> None:
    """A one-label classifier: the body is random, the head is the least-squares fit to the lessons."""
    torch.manual_seed(1)
    config = LlamaConfig(**SIZES, vocab_size=len(words), num_labels=1, initializer_range=SPREAD, dtype="float32")
    model = LlamaForSequenceClassification(config).eval()
    features, wanted = [], []
    for lesson in lessons:
        for answer, score in ((lesson["right"], LOGIT), (lesson["wrong"], -LOGIT)):
            chat = [{"role": "user", "content": lesson["question"]}, {"role": "assistant", "content": answer}]
            text = words.apply_chat_template(chat, tokenize=False)
            with torch.no_grad():
                hidden = model.model(**words(text, return_tensors="pt", add_special_tokens=False))
            features.append(hidden.last_hidden_state[0, -1])
            wanted.append(score)
    # Ridge keeps the weights small, so that neither rounding nor other texts lead to scores of 0 and 1.
    matrix, target = torch.stack(features).double(), torch.tensor(wanted).double()
    gram = matrix @ matrix.T + 0.1 * torch.eye(len(wanted), dtype=torch.float64)
    weights = matrix.T @ torch.linalg.solve(gram, target)
    with torch.no_grad():
        model.score.weight.copy_(weights[None].float())
        logits = model.score(torch.stack(features))[:, 0].tolist()
    model.save_pretrained(directory)
    words.save_pretrained(directory)
    (directory / "logits.json").write_text(json.dumps(logits))


def build_prm(directory: Path, words: PreTrainedTokenizerFast) -> None:
    """A process reward model; transformers has no class for its architecture, vLLM does."""
    torch.manual_seed(2)
    config = Qwen2Config(**SIZES, vocab_size=len(words), initializer_range=SPREAD, dtype="float32")
    width = config.hidden_size
    head = torch.nn.Sequential(torch.nn.Linear(width, width), torch.nn.ReLU(), torch.nn.Linear(width, 2))
    tensors = {f"model.{name}": tensor for name, tensor in Qwen2Model(config).state_dict().items()}
    tensors |= {f"score.{name}": tensor for name, tensor in head.state_dict().items()}
    directory.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, directory / "model.safetensors")
    description = config.to_dict() | {"architectures": ["Qwen2ForProcessRewardModel"], "num_labels": 2}
    (directory / "config.json").write_text(json.dumps(description, indent=2))
    words.save_pretrained(directory)


def convert(directory: Path, source: Path) -> None:
    """The embedded default model in the form that vLLM reads."""
    words = AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name)
    read = AutoModelForCausalLM.from_pretrained(source.parent, gguf_file=source.name, dtype=torch.float32)
    # Made anew from what was read: the one that was read still believes to be quantised.
    description = {key: value for key, value in read.config.to_dict().items() if key != "quantization_config"}
    model = LlamaForCausalLM(LlamaConfig(**description))
    model.load_state_dict(read.state_dict())
    model.save_pretrained(directory)
    words.save_pretrained(directory)


if __name__ == "__main__":
    target = Path(sys.argv[1])
    words = tokenizer()
    build_policy(target / "policy", words)
    build_decider(target / "decider")
    build_classifier(target / "classifier", words, json.loads(Path(sys.argv[2]).read_text()))
    build_prm(target / "prm", words)
    if len(sys.argv) > 3:
        convert(target / "smollm2", Path(sys.argv[3]))
