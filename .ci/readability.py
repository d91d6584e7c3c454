"""How long the texts are: words, and the mean and the longest sentence, of the README and docs.

``python .ci/readability.py [FILE ...]`` prints a line per file. Words are those that are seen
outside blocks of code. Sentences are those of paragraphs and list items, without headings and
tables; a piece of code counts as a word, and may begin one.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
TEXTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@dataclass(frozen=True)
class Text:
    """Its ``words``, and the words of each of its ``sentences``."""

    words: int
    sentences: list[str]

    @property
    def mean(self) -> float:
        """Words per sentence."""
        return sum(map(length, self.sentences)) / max(len(self.sentences), 1)

    @property
    def longest(self) -> str:
        """The sentence of most words."""
        return max(self.sentences, key=length, default="")


def length(sentence: str) -> int:
    """The words of a sentence."""
    return len(re.findall(r"\S*\w\S*", sentence))


def _visible(markdown: str) -> str:
    """Without blocks of code, pictures, where links lead and emphasis."""
    text = re.sub(r"^```.*?^```$", "", markdown, flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"!\[[^\]]*\]\([^)]*\)", "", text)
    text = re.sub(r"\[((?:[^\[\]]|\[[^\]]*\])+)\]\([^)]*\)", r"\1", text)
    return text.replace("**", "").replace("\\*", "")


def _prose(text: str) -> list[str]:
    """Paragraphs and list items, each in one line."""
    text = re.sub(r"^(#|\|).*$", "", text, flags=re.MULTILINE)
    parts = re.split(r"\n\s*\n|\n(?=\s*(?:[*-]|\d+\.|>) )", text)
    return [" ".join(part.split()).lstrip("*->| ") for part in parts if part.strip()]


def read(markdown: str) -> Text:
    """What a text in Markdown measures."""
    text = _visible(markdown)
    prose = [re.sub(r"`[^`]+`", "Code", part) for part in _prose(text)]
    ends = r"(?<=[.!?])[*\"')]*\s+(?=[\W_]*[A-Z0-9])"
    sentences = [sentence for part in prose for sentence in re.split(ends, part)]
    return Text(length(text), [sentence for sentence in sentences if length(sentence)])


if __name__ == "__main__":
    print(f"{'words':>6} {'mean':>5} {'longest':>7}")
    for path in [Path(name) for name in sys.argv[1:]] or TEXTS:
        found = read(path.read_text())
        print(f"{found.words:6} {found.mean:5.1f} {length(found.longest):7}  {path.name}")
