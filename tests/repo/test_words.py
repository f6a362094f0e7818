"""Phrases that no text of this repository may have: each has a plain form that everybody reads once."""

import re
import subprocess
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
GENERATED = re.compile(r"_pb2|^third_party/|^clients/(go|node|java)/")
# The phrase, and an example that must be found.
FORBIDDEN = {
    r"\b(is|are|was|were) of before\b": "the answer is of before the commit",
    r"\b(it|that|which) (is|are) none\b": "a symbol that is none",
    r"\bas of an? (provider|client|file)\b": "kept, as of a provider",
    r"\bbefell\b": "what befell the call",
    r"\bnone of ours\b": "a token that is none of ours",
    r"\bwhose bars are whose\b": "it says whose bars are whose",
    # A clause as the subject of a sentence.
    r'(?:^|[.:;"#/]|\*)\s*(?:What|Who|Whatever) (?:is|was|are|were|has|had) (?:[\w-]+ ){0,8}?'
    r"(?:is|are|goes|stays|wants|may|must) (?:[\w-]+[ .,;:]|\w+$)": "# What is cached is shared",
}


def texts() -> list[Path]:
    """Return the tracked sources, documents and contracts that people write."""
    listed = subprocess.run(["git", "ls-files"], cwd=REPO, capture_output=True, text=True, check=True).stdout
    names = [name for name in listed.splitlines() if name.endswith((".py", ".md", ".proto"))]
    return [
        REPO / name
        for name in names
        if not GENERATED.search(name) and (REPO / name).is_file() and REPO / name != Path(__file__).resolve()
    ]


@pytest.mark.parametrize(("phrase", "example"), FORBIDDEN.items())
def test_a_forbidden_phrase_is_recognised(phrase: str, example: str) -> None:
    assert re.search(phrase, example)


def test_no_text_has_a_forbidden_phrase() -> None:
    assert len(texts()) > 300
    found = [
        f"{path.relative_to(REPO)}:{number}: {line.strip()}"
        for path in texts()
        for number, line in enumerate(path.read_text().splitlines(), 1)
        for phrase in FORBIDDEN
        if re.search(phrase, line)
    ]
    assert found == []
