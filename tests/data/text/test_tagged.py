"""Tagged sentences: every format read as somebody would by hand, splits, and every mistake with its line."""

import json
from pathlib import Path

import pytest

from recurra.data.catalogue import find
from recurra.data.text.tagged import Column, TaggedSentence, TokenColumns, read_tagged, read_tokens, split_tagged
from recurra.errors import DataError

SHARES = (0.6, 0.2, 0.2)
CONLLU = """\
# sent_id = 1
# text = I don't # know
1	I	I	PRON	PRP	_	4	nsubj	_	_
2-3	don't	_	_	_	_	_	_	_	_
2	do	do	AUX	VBP	_	4	aux	_	_
3	n't	not	PART	RB	_	4	advmod	_	_
4	#	#	SYM	NN	_	0	root	_	_
4.1	gone	go	VERB	VBN	_	_	_	_	_
5	10 000	10000	NUM	CD	_	4	obj	_	_

# sent_id = 2
1	Yes	yes	INTJ	UH	_	0	root	_	_
"""


def write(path: Path, text: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="")
    return str(path)


def read(path: str, token: int | str | None = None, tag: int | str | None = None) -> list[TaggedSentence]:
    found = read_tagged(path, TokenColumns(token, tag))
    assert found.keys() == {"all"}
    return found["all"]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("last", ["", "\n", "\n\n \n"])
def test_columns_by_spaces(end: str, last: str, tmp_path: Path) -> None:
    lines = ["-DOCSTART- -X- -X- O", "", "EU NNP  B-NP B-ORG", "says VBZ B-VP O", "", " ", "Peter NNP B-NP B-PER"]
    path = write(tmp_path / "ner.txt", end.join(lines) + last.replace("\n", end))
    assert read(path) == [
        TaggedSentence(("EU", "says"), ("B-ORG", "O"), f"{path} line 3"),
        TaggedSentence(("Peter",), ("B-PER",), f"{path} line 7"),
    ]
    assert [sentence.tags for sentence in read(path, tag=1)] == [("NNP", "VBZ"), ("NNP",)]
    assert [sentence.tokens for sentence in read(path, token=-2, tag=0)] == [("B-NP", "B-VP"), ("B-NP",)]


def test_between_tabs_a_token_may_hold_spaces_and_other_separators(tmp_path: Path) -> None:
    path = write(tmp_path / "tabs.tsv", "New York\tB\na\u2028b\tI\nc\u00a0d \tO\n")
    assert read(path)[0].tokens == ("New York", "a\u2028b", "c\u00a0d")
    assert read(write(tmp_path / "spaces.txt", "1\u00a0000 NUM\n"))[0].tokens == ("1\u00a0000",)


def test_conllu_has_words_only(tmp_path: Path) -> None:
    path = write(tmp_path / "text.conllu", CONLLU)
    first, second = read(path)
    assert first == TaggedSentence(
        ("I", "do", "n't", "#", "10 000"), ("PRON", "AUX", "PART", "SYM", "NUM"), f"{path} line 3"
    )
    assert (second.tokens, second.tags) == (("Yes",), ("INTJ",))
    assert read(path, tag="xpos")[0].tags == ("PRP", "VBP", "RB", "NN", "CD")
    assert read(path, token="lemma", tag=0)[0].tags == ("1", "2", "3", "4", "5")
    assert read(path, token="lemma", tag=7)[0].tokens == ("I", "do", "not", "#", "10000")


def test_tokens_alone(tmp_path: Path) -> None:
    def tokens(name: str, text: str, token: Column | None = None, tag: Column | None = None) -> list[tuple[str, ...]]:
        return read_tokens(str(write(tmp_path / name, text)), TokenColumns(token, tag), ["O", "B-city"])

    assert tokens("text.conllu", CONLLU) == [("I", "do", "n't", "#", "10 000"), ("Yes",)]
    assert tokens("text.conllu", CONLLU, "lemma")[0] == ("I", "do", "not", "#", "10000")
    lists = '{"tokens": ["a b", "c"]}\n\n{"tokens": ["d"], "tags": ["X"]}\n'
    assert tokens("text.jsonl", lists, 3) == [("a b", "c"), ("d",)]
    assert tokens("text.jsonl", '{"words": ["a"]}', "words") == [("a",)]
    assert tokens("text.jsonl", '{"tokens": ["a"]}', "lemma") == [("a",)]  # as of a model of CoNLL-U
    assert tokens("text.conllu", CONLLU, "words")[1] == ("Yes",)  # as of one of JSON lines
    assert tokens("text.conll", "to O\n", "words", 3) == [("to",)]
    assert tokens("text.conll", "to\t\n") == [("to",)]
    lines = [("to", "rome"), (), ("now",)]  # an empty one counts, so that answers stand beside lines
    assert tokens("text.txt", "to  rome\n\nnow\n") == lines
    assert tokens("text.txt", "to B-city\nto B-place\n") == [
        ("to", "to")
    ]  # a tag that training lacks is one all the same
    assert tokens("text.txt", "to go\nto B-place\n") == [("to", "go"), ("to", "B-place")]  # no such tags
    assert tokens("text.txt", "to O\n") == [("to", "O")]  # one line may end in any word
    sentences = [("to", "rome"), ("now",)]
    for name in ("text.txt", "text.conll"):
        assert tokens(name, "to O\nrome B-city\n\nnow O\n") == sentences
        assert tokens(name, "to\tX\tO\nrome\tX\tB-city\n\nnow\tX\tO\n") == sentences
        assert tokens(name, "to x O z\nrome x B-city z\n\nnow y O z\n", 0, 2) == sentences
    assert tokens("text.conll", "to\nrome\n\nnow\n") == sentences
    with pytest.raises(DataError, match="a folder; expected a file of sentences"):
        read_tokens(str(tmp_path), TokenColumns(), ["O"])
    with pytest.raises(DataError, match=r"text\.conll line 2: 1 column, where the first has 2"):
        tokens("text.conll", "to O\nrome\n")
    with pytest.raises(DataError, match=r"text\.txt line 2: a tab; expected a sentence a line, .* end in \.conll"):
        tokens("text.txt", "to rome\nto\tX\n")


def test_texts_beside_their_tags(tmp_path: Path) -> None:
    for folder, text in (("train", "fly  to rome "), ("dev", "go"), ("test", "to\u00a0day it rains")):
        write(tmp_path / folder / "seq.in", f"{text}\n\n{text} !\n")
        tags = " ".join(f"T{number}" for number, _ in enumerate([part for part in text.split(" ") if part]))
        write(tmp_path / folder / "seq.out", f"{tags} \n\n{tags} END")
        write(tmp_path / folder / "label", "intent\n\nintent\n")
    found = read_tagged(str(tmp_path), TokenColumns())
    assert {split: [sentence.tokens for sentence in sentences] for split, sentences in found.items()} == {
        "train": [("fly", "to", "rome"), ("fly", "to", "rome", "!")],
        "valid": [("go",), ("go", "!")],
        "test": [("to\u00a0day", "it", "rains"), ("to\u00a0day", "it", "rains", "!")],
    }
    assert found["test"][1].tags == ("T0", "T1", "T2", "END")
    assert found["test"][1].place == f"{tmp_path / 'test' / 'seq.in'} line 3"


def test_json_lines(tmp_path: Path) -> None:
    rows = [{"tokens": ["a b", "c"], "tags": ["X", "Y"], "id": 3}]
    rows.append({"tokens": ["\ud800"], "tags": ["X"]})
    path = write(tmp_path / "text.jsonl", "\n\n".join(map(json.dumps, rows)) + "\n")
    assert read(path) == [
        TaggedSentence(("a b", "c"), ("X", "Y"), f"{path} line 1"),
        TaggedSentence(("?",), ("X",), f"{path} line 3"),
    ]
    named = write(tmp_path / "named.jsonl", '{"words": ["a"], "ner": ["O"]}')
    assert read(named, "words", "ner")[0].tags == ("O",)


def test_splits_by_the_names_of_files(tmp_path: Path) -> None:
    for name in ("en_ewt-ud-train", "en_ewt-ud-dev", "en_ewt-ud-test"):
        write(tmp_path / f"{name}.conllu", "\t".join(["1", name[10:], "_", "X", *"______"]) + "\n")
    write(tmp_path / "LICENSE.txt", "no columns, but many words")
    write(tmp_path / "notes.txt", "no columns either, and no split")
    found = split_tagged(read_tagged(str(tmp_path), TokenColumns()), str(tmp_path), SHARES)
    assert list(found) == ["train", "valid", "test"]
    assert [found[split][0].tokens for split in found] == [("train",), ("dev",), ("test",)]


def test_splits_by_the_tokens(tmp_path: Path) -> None:
    block = "".join(f"word{n} A\nis B\n\n" for n in range(200))
    path = write(tmp_path / "all.txt", block + block.replace(" A", " C"))  # every sentence twice, otherwise tagged
    read_there = read_tagged(path, TokenColumns())
    found = split_tagged(read_there, path, SHARES)
    sides = {split: {sentence.tokens for sentence in sentences} for split, sentences in found.items()}
    assert sum(map(len, sides.values())) == 200, "the same tokens are on two sides"
    assert sum(map(len, found.values())) == 400
    assert 90 < len(sides["train"]) < 150
    parts = split_tagged({"train": read_there["all"]}, path, SHARES)
    assert list(parts) == ["train", "valid"]
    assert not {one.tokens for one in parts["train"]} & {one.tokens for one in parts["valid"]}
    assert len(parts["train"]) + len(parts["valid"]) == 400
    assert 60 < len(parts["valid"]) < 140  # a quarter


@pytest.mark.parametrize(
    ("name", "text", "columns", "message"),
    [
        ("a.txt", "a O\nb\n", TokenColumns(), "line 2: 1 column, where the first has 2"),
        ("a.txt", "a O\n\nb x O\n", TokenColumns(), "line 3: 3 columns, where the first has 2"),
        ("a.txt", "just\nwords\n", TokenColumns(), "column 0 would be both token and tag of its 1 column"),
        ("a.txt", "a O\n", TokenColumns(0, 2), r"no column 2 \(--tag-column\); it has numbers 0 to 1, and -1"),
        ("a.txt", "a O\n", TokenColumns("form"), r"no column 'form' \(--token-column\)"),
        ("a.txt", "a O\n", TokenColumns(1), "column 1 would be both"),
        ("a.tsv", "a\tO\n\tO\n", TokenColumns(), "line 2: an empty token or tag"),
        ("a.tsv", "a\tO\nb\t \n", TokenColumns(), "line 2: an empty token or tag"),
        ("a.conllu", "# c\n1\tI\tPRON\n", TokenColumns(), "line 2: 3 columns; expected the 10 of CoNLL-U"),
        (
            "a.conllu",
            CONLLU,
            TokenColumns("form", "pos"),
            r"no column 'pos' \(--tag-column\); it has id, form, lemma, upos",
        ),
        ("a.jsonl", '{"tokens": ["a"]}', TokenColumns(), "line 1: no 'tags'; it has tokens. Name .*--tag-column"),
        (
            "a.jsonl",
            '\n{"tokens": [], "tags": []}\n',
            TokenColumns(),
            "line 2: no tokens; fill it, or leave the line out",
        ),
        (
            "a.jsonl",
            '\n{"tokens": ["a", "b"], "tags": ["O"]}',
            TokenColumns(),
            "line 2: 2 tokens, but 1 tag; expected a tag",
        ),
        ("a.jsonl", '{"tokens": ["a"], "tags": [1]}', TokenColumns(), "line 1: 'tags' is no list of texts"),
        ("a.jsonl", '{"tokens": ["a", ""], "tags": ["O", "O"]}', TokenColumns(), "line 1: an empty token or tag"),
        ("a.jsonl", '["a"]', TokenColumns(), "line 1: expected a JSON object"),
        ("a.jsonl", "9" * 1_000_000, TokenColumns(), "line 1: not JSON"),
        (
            "a.jsonl",
            f"[{'9, ' * 1_000_000}9]",
            TokenColumns(),
            r"line 1: expected a JSON object, got '\[[9, ]{59}\.\.\.'$",
        ),
        ("a.jsonl", "{\n", TokenColumns(), "line 1: not JSON"),
    ],
)
def test_what_cannot_be_read(name: str, text: str, columns: TokenColumns, message: str, tmp_path: Path) -> None:
    path = write(tmp_path / name, text)
    with pytest.raises(DataError, match=message) as caught:
        read_tagged(path, columns)
    assert str(caught.value).startswith(path)


def test_texts_and_tags_that_do_not_match(tmp_path: Path) -> None:
    path = write(tmp_path / "seq.in", "a b\nc d e\n")
    with pytest.raises(DataError, match=r"seq.out: no such file"):
        read_tagged(path, TokenColumns())
    write(tmp_path / "seq.out", "O O\nO O\n")
    with pytest.raises(DataError, match=r"seq.in line 2: 3 tokens, but 2 tags; expected a tag for every token"):
        read_tagged(path, TokenColumns())
    write(tmp_path / "seq.out", "O O\n")
    with pytest.raises(DataError, match=r"seq.in: 2 lines, but .*seq.out has 1"):
        read_tagged(path, TokenColumns())


def test_other_encodings_and_nothing_at_all(tmp_path: Path) -> None:
    path = tmp_path / "latin.txt"
    path.write_bytes("café O\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"latin.txt line 1: not UTF-8 text: byte 3 \(0xe9\)"):
        read_tagged(str(path), TokenColumns())
    empty = write(tmp_path / "empty.txt", "\n\n")
    with pytest.raises(DataError, match=r"empty.txt: no sentences there; expected some$"):
        split_tagged(read_tagged(empty, TokenColumns()), empty, SHARES)
    with pytest.raises(DataError, match="no such file, folder or data set"):
        read_tagged(str(tmp_path / "nowhere"), TokenColumns())


@pytest.mark.parametrize(
    ("name", "sentences", "tokens"),
    [
        ("intent_slot/atis", (4478, 500, 893), (50497, 5703, 9164)),
        ("intent_slot/snips", (13084, 700, 700), (117700, 6384, 6354)),
        ("ud_ewt", (12544, 2001, 2077), (204577, 25147, 25094)),
    ],
)
def test_public_data(name: str, sentences: tuple[int, ...], tokens: tuple[int, ...]) -> None:
    if find(name) is None:
        pytest.skip(f"no {name} under RECURRA_DATA")
    found = split_tagged(read_tagged(name, TokenColumns()), name, SHARES)
    assert tuple(len(found[split]) for split in ("train", "valid", "test")) == sentences
    assert tuple(sum(len(one.tokens) for one in found[split]) for split in found) == tokens
