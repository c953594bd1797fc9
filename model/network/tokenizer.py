"""Text to token ids and back, for our own small vocabularies and for a real Qwen `tokenizer.json`.

A small vocabulary holds Qwen's special tokens, the 256 bytes and the frequent words, each with its
leading space as one token; a rarer word is spelt in bytes, so that any text can be encoded.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers

from model.errors import ConfigError

END_OF_TEXT = "<|endoftext|>"
TURN_START = "<|im_start|>"
TURN_END = "<|im_end|>"
VISION_START = "<|vision_start|>"
VISION_END = "<|vision_end|>"
IMAGE_PAD = "<|image_pad|>"
MASK = "<|mask|>"
ENDS = (END_OF_TEXT, TURN_END)  # a report may end with either
SPECIAL_TOKENS = (END_OF_TEXT, TURN_START, TURN_END, VISION_START, VISION_END, IMAGE_PAD, MASK)

# Qwen's splitting into words: a word keeps one space or sign in front of it, digits are separate.
_WORD = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


class ReportTokenizer:
    """Encodes text as text (never as special tokens) and decodes ids; knows the special ids by name.

    `mask_id` is None for a tokenizer without a mask token: the checkpoint's configuration then names the id
    that serves as the mask.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        # Indication and comparison are external input: a "<|im_end|>" in them remains six harmless pieces.
        tokenizer.encode_special_tokens = True
        self._tokenizer = tokenizer
        missing = [token for token in SPECIAL_TOKENS[:-1] if tokenizer.token_to_id(token) is None]
        if missing:
            raise ConfigError(f"the tokenizer lacks {', '.join(missing)}; is it Qwen's?")
        self.vocab_size: int = tokenizer.get_vocab_size(with_added_tokens=True)
        # A vocabulary may have gaps, so its largest id matters rather than its size.
        self.largest_id: int = max(tokenizer.get_vocab(with_added_tokens=True).values())
        self.pad_id = self.special(END_OF_TEXT)
        self.eos_id = self.special(TURN_END)
        self.image_id = self.special(IMAGE_PAD)
        self.mask_id: int | None = tokenizer.token_to_id(MASK)

    @classmethod
    def load(cls, path: Path) -> ReportTokenizer:
        """Reads a `tokenizer.json`. Raises: ConfigError if it is not a tokenizer with Qwen's tokens."""
        if not path.is_file():
            raise ConfigError(f"{path.name} is missing")
        try:
            tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises nothing more specific for an invalid file
            raise ConfigError(f"{path.name} is not a tokenizer: {error}") from error
        return cls(tokenizer)

    def save(self, path: Path) -> None:
        """Writes `tokenizer.json` in the Hugging Face form."""
        self._tokenizer.save(str(path))

    def special(self, token: str) -> int:
        """Id of a special token such as `TURN_START`."""
        index = self.find(token)
        if index is None:
            raise ConfigError(f"the tokenizer has no {token}")
        return index

    def find(self, token: str) -> int | None:
        """Id of a token by its spelling; None if it is not in the vocabulary."""
        index: int | None = self._tokenizer.token_to_id(token)
        return index

    def encode(self, text: str) -> list[int]:
        """Token ids of `text`, without any special token."""
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """The text of `ids`; special tokens are left out."""
        text: str = self._tokenizer.decode(list(ids), skip_special_tokens=True)
        return text

    @property
    def spells_whole_words(self) -> bool:
        """Whether every word is one token or spelt in bytes, as in our small vocabularies.

        A large vocabulary builds words from pieces, so a word's tokens do not show whether it is known.
        """
        return bool(getattr(self._tokenizer.model, "ignore_merges", False)) and self.mask_id is not None


def train_tokenizer(
    texts: Iterable[str], *, vocab_size: int = 512, required: Iterable[str] = (), minimum_count: int = 3
) -> ReportTokenizer:
    """A small vocabulary: special tokens, all bytes, the words of `required`, then the most frequent words.

    vocab_size: an upper bound in tokens (the words that occur at least `minimum_count` times may be
    fewer). Ties are broken by spelling, so the same texts always give the same vocabulary.
    """
    splitter = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_WORD), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )

    def words(text: str) -> list[str]:
        return [piece for piece, _ in splitter.pre_tokenize_str(text)]

    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(words(text))
    wanted = dict.fromkeys(word for text in required for word in words(text))
    frequent = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    wanted |= dict.fromkeys(word for word, count in frequent if count >= minimum_count)

    tokens = dict.fromkeys([*SPECIAL_TOKENS, *sorted(pre_tokenizers.ByteLevel.alphabet())])
    for word in wanted:
        if len(tokens) >= vocab_size:
            break
        tokens.setdefault(word)
    vocabulary = {token: index for index, token in enumerate(tokens)}

    # Without merges a word is either found whole in the vocabulary or falls into its bytes.
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[], ignore_merges=True))
    tokenizer.pre_tokenizer = splitter
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(
        [AddedToken(token, special=True, normalized=False) for token in SPECIAL_TOKENS]
    )
    return ReportTokenizer(tokenizer)
