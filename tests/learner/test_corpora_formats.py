"""Files of every layout are read record by record, with exact counts; their bad records have a place and a reason."""

from __future__ import annotations

import bz2
import csv
import gzip
import json
import lzma
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learner.corpora.files import tell_layout, unpack
from learner.corpora.pieces import split
from learner.corpora.read import Reading
from learner.corpora.spec import PIECE_CHARS, Layout, Line, Unreadable
from storage.records import DocumentKind
from tests.conftest import SHARED_DATA
from tests.learner.papers import encrypted_pdf, pdf

CORPUS, CHAT, DEMONSTRATION, PREFERENCE = DocumentKind
ASK, ANSWER = {"role": "user", "content": "2+2?"}, {"role": "assistant", "content": "4"}


def read(file: Path, data: bytes | str | None = None, kind: DocumentKind | None = None) -> tuple[DocumentKind | None, list[Line]]:
    """What a file holds, by its name, after it was given this content."""
    if data is not None:
        file.write_bytes(data.encode() if isinstance(data, str) else data)
    plain = unpack(file, file.with_name("unpacked"))
    reading = Reading(plain, tell_layout(Layout.AUTO, file.name, plain.read_bytes()[:16]), kind)
    lines = list(reading)
    return reading.kind, lines


def contents(lines: list[Line]) -> list[object]:
    return [content for line in lines for content in line.contents]


def skipped(lines: list[Line]) -> list[tuple[str, str]]:
    return [(line.place, line.reason) for line in lines if not line.contents]


def test_plain_text_becomes_whole_paragraphs(tmp_path: Path) -> None:
    paragraphs = [f"Paragraph {number}.\nIt has two lines of größe. " + "x" * 900 for number in range(10)]
    kind, lines = read(tmp_path / "book.txt", "\n\n \n".join(paragraphs).replace("\n", "\r\n"))
    assert kind is CORPUS and [line.place for line in lines] == ["line 1", "line 17", "line 33"]
    assert "\n\n".join(str(one) for one in contents(lines)).split("\n\n") == paragraphs
    assert all(len(str(one)) <= PIECE_CHARS for one in contents(lines))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1251"])
def test_text_of_other_encodings_is_understood(tmp_path: Path, encoding: str) -> None:
    words = "Съешь же ещё этих мягких французских булок, да выпей чаю. Широкая электрификация южных губерний. " * 5
    _, lines = read(tmp_path / "text.txt", words.encode(encoding))
    assert contents(lines) == [words.strip()]


def test_markdown_is_split_at_headings_and_loses_its_front_matter(tmp_path: Path) -> None:
    section = "Words of the section. " * 110
    code = "```\n# no heading\n\n\nx = 1\n```"
    parts = [f"# Part {number}\n\n{section.strip()}\n\n{code}" for number in range(4)]
    _, lines = read(tmp_path / "page.md", "---\ntitle: x\ndate: 2020\n---\n" + "\n\n".join(parts) + "\n")
    assert contents(lines) == parts
    _, lines = read(tmp_path / "rule.md", "---\n\nno front matter, as it does not end\n")
    assert contents(lines) == ["---\n\nno front matter, as it does not end"]


def test_html_gives_its_main_text(tmp_path: Path) -> None:
    page = """<!doctype html><html><head><title>T</title><style>p {}</style></head><body><nav>Menu</nav>
    <main><h1>Title</h1><p>One <b>bold</b>
      word.<br>Next line.</p><script>alert(1)</script><!-- no --><ul><li>first</li><li>second</li></ul>
    <table><tr><td>a</td><td>b</td></tr></table><pre>x = 1
    y = 2</pre></main><footer>Imprint</footer></body></html>"""
    _, lines = read(tmp_path / "page.html", page)
    [text] = contents(lines)
    assert text == "Title\n\nOne bold word.\nNext line.\n\nfirst\n\nsecond\n\na b\n\nx = 1\ny = 2"
    _, lines = read(tmp_path / "old.htm", '<?xml version="1.0"?><html><p>Größe &amp; more</html>'.encode())
    assert contents(lines) == ["Größe & more"]


def test_pdf_is_read_page_by_page(tmp_path: Path) -> None:
    kind, lines = read(tmp_path / "paper.pdf", pdf([["First page", "with a hyphen-", "ated word"], [], ["Third page"]]))
    assert kind is CORPUS and contents(lines) == ["First page\nwith a hyphenated word", "Third page"]
    assert skipped(lines) == [("page 2", "holds no text")]
    encrypted_pdf(tmp_path / "open.pdf", "", "owner")
    assert contents(read(tmp_path / "open.pdf")[1]) == ["a secret"]


def test_json_lines_are_read_line_by_line(tmp_path: Path) -> None:
    good = json.dumps({"messages": [ASK, ANSWER]})
    data = "\ufeff" + "\n".join([good, "", "no JSON", good, '{"messages": 3}', "[" * 5000, "17"])
    kind, lines = read(tmp_path / "chats.jsonl", data)
    assert (kind, contents(lines)) == (CHAT, [[ASK, ANSWER]] * 2)
    places = dict(skipped(lines))
    assert list(places) == ["line 3", "line 5", "line 6", "line 7"]
    assert "malformed" in places["line 3"] and "messages is 3" in places["line 5"] and "int" in places["line 7"]


def test_the_first_record_decides_the_kind_of_a_file(tmp_path: Path) -> None:
    data = '{"no": 1}\n{"prompt": "2+2?", "completion": "4"}\n{"text": "x"}\n'
    kind, lines = read(tmp_path / "mixed.jsonl", data)
    assert (kind, contents(lines)) == (DEMONSTRATION, [[ASK, ANSWER]])
    assert skipped(lines)[1] == ("line 3", "is of kind corpus, expected demonstration")


def test_a_json_array_and_a_single_record_are_read(tmp_path: Path) -> None:
    row = {"instruction": "2+2?", "input": "", "output": "4"}
    kind, lines = read(tmp_path / "alpaca.json", json.dumps([row, {"x": 1}, row]))
    assert (kind, contents(lines)) == (DEMONSTRATION, [[ASK, ANSWER]] * 2)
    assert skipped(lines)[0][0] == "record 2"
    assert contents(read(tmp_path / "one.json", json.dumps(row))[1]) == [[ASK, ANSWER]]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_csv_is_read_row_by_row(tmp_path: Path, delimiter: str) -> None:
    with (tmp_path / "table.csv").open("w", newline="") as stream:
        writer = csv.writer(stream, delimiter=delimiter)
        writer.writerows([["id", "prompt", "chosen", "rejected"], ["1", 'a "b",;\t|\nc', "good", "bad"], ["2", "d", "", "bad"]])
        stream.write(delimiter.join(["3", "too few"]) + "\r\n")
    kind, lines = read(tmp_path / "table.csv")
    assert kind is PREFERENCE
    assert contents(lines) == [{"prompt": [{"role": "user", "content": 'a "b",;\t|\nc'}], "chosen": "good", "rejected": "bad"}]
    assert skipped(lines) == [("row at line 4", "has 'prompt' without an answer"), ("row at line 5", "has 2 cells, expected 4")]


def test_parquet_is_read_row_by_row(tmp_path: Path) -> None:
    rows = [{"conversations": [{"from": "human", "value": f"Say {n}"}, {"from": "gpt", "value": str(n)}]} for n in range(1000)]
    table = pa.table({"id": range(1001), "conversations": [*(row["conversations"] for row in rows), None]})
    pq.write_table(table, tmp_path / "chats.parquet", row_group_size=300)
    kind, lines = read(tmp_path / "chats.parquet")
    assert (kind, len(contents(lines)), contents(lines)[999][1]["content"]) == (CHAT, 1000, "999")
    assert skipped(lines)[0][0] == "row 1001"


def test_chatterbot_dialogues_are_read_as_they_were_written(tmp_path: Path) -> None:
    data = "categories:\n- x\nconversations:\n- - yes\n  - 007\n- - Hi\n  - Hello\n  - null\n- - a: b\n  - c\n- alone\n- - single\n"
    kind, lines = read(tmp_path / "talk.yml", data)
    said = [[turn["content"] for turn in chat] for chat in contents(lines)]
    assert (kind, said) == (CHAT, [["yes", "007"], ["Hi", "Hello", "null"]])
    assert [place for place, _ in skipped(lines)] == [
        "conversation 3 (line 9)",
        "conversation 4 (line 11)",
        "conversation 5 (line 12)",
    ]
    assert "turn 1 is no text" in skipped(lines)[0][1]


@pytest.mark.parametrize(("language", "files", "chats", "bad"), [("english", 21, 2025, 1), ("russian", 3, 43, 0)])
def test_the_chatterbot_corpus_comes_in(language: str, files: int, chats: int, bad: int) -> None:
    corpus = pytest.importorskip("chatterbot_corpus", reason="chatterbot-corpus is not installed")
    found = sorted((Path(corpus.__file__).parent / "data" / language).glob("*.yml"))
    lines = [line for file in found for line in Reading(file, Layout.YAML, CHAT)]
    assert (len(found), len(contents(lines)), len(skipped(lines))) == (files, chats, bad)


@pytest.mark.parametrize(("suffix", "pack"), [(".gz", gzip.compress), (".bz2", bz2.compress), (".xz", lzma.compress)])
def test_compressed_files_are_read_as_what_they_hold(tmp_path: Path, suffix: str, pack: Callable[[bytes], bytes]) -> None:
    data = pack(b'{"text": "A tale."}\n' * 1000)
    assert contents(read(tmp_path / f"corpus.jsonl{suffix}", data)[1]) == ["A tale."] * 1000
    with pytest.raises(Unreadable, match="damaged"):
        read(tmp_path / f"corpus.jsonl{suffix}", data[: len(data) // 2])


BOMB = "a: &a [x, x]\n" + "".join(f"{chr(98 + n)}: &{chr(98 + n)} [*{chr(97 + n)}, *{chr(97 + n)}]\n" for n in range(20))
BROKEN: dict[str, tuple[str, bytes, str]] = {
    "empty": ("a.txt", b"", "is empty"),
    "empty gzip": ("a.txt.gz", gzip.compress(b""), "is empty"),
    "blank text": ("a.txt", b" \n\n", "white space"),
    "a picture as text": ("a.txt", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\xff", "is not text"),
    "a picture as Markdown": ("a.md", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\xff", "is not text"),
    "text as HTML": ("a.html", b"just words", "no HTML element"),
    "HTML without text": ("a.html", b"<p><script>x</script></p>", "no text"),
    "binary as HTML": ("a.html", b"<\0\1\2", "is not text"),
    "deep HTML": ("a.html", b"<div>" * 3000 + b"words", "within each other"),
    "text as PDF": ("a.pdf", b"just words", "no PDF"),
    "half a PDF": ("a.pdf", pdf([["words"]])[:200], "no PDF"),
    "a PDF of pictures": ("a.pdf", pdf([[], []]), "no text can be read from the 2 pages"),
    "no JSON lines": ("a.jsonl", b"some\nwords\n", "no line of the file is JSON: line 1"),
    "binary JSON lines": ("a.jsonl", b"\0\1\2\n", "is not text"),
    "deep JSON lines": ("a.jsonl", b"[" * 100_000, "nested too deeply"),
    "half a JSON array": ("a.json", b'[{"text": "x"}, {"te', "is not JSON"),
    "deep JSON": ("a.json", b'{"text":' + b"[" * 100_000, "is not JSON"),
    "an empty array": ("a.json", b"[]", "no record"),
    "text as Parquet": ("a.parquet", b"PAR1 just words", "no Parquet"),
    "unknown columns": ("a.csv", b"a,b\n1,2\n", "expected some of"),
    "a column twice": ("a.csv", b"text,text\n1,2\n", "'text' is there twice"),
    "a quote without end": ("a.csv", b'text,id\n"never ends,2\nx,3\n', "never ends"),
    "only a head": ("a.csv", b"text,id\n", "no record"),
    "a picture as CSV": ("a.csv", b"\x89PNG\0\0", "is not text"),
    "no YAML": ("a.yml", b"conversations: [\n- }", "is not YAML at line 2"),
    "another YAML": ("a.yml", b"a: 1\nb: [2]\n", "'a, b'"),
    "a YAML list": ("a.yml", b"- a\n", "no mapping"),
    "no list in YAML": ("a.yml", b"conversations: no\n", "no list"),
    "a YAML bomb": ("a.yml", BOMB.encode(), "has the alias *a"),
    "deep YAML": ("a.yml", b"conversations: " + b"[" * 50_000, "nested too deeply"),
    "binary YAML": ("a.yml", b"conversations:\n- - \0\n", "is not text"),
    "a gzip bomb": ("a.jsonl.gz", gzip.compress(b" " * 100_000_000, 1), "times its size"),
    "no known name": ("a.xyz", b"words", "does not tell the layout"),
}


@pytest.mark.parametrize(("name", "data", "said"), BROKEN.values(), ids=BROKEN)
def test_a_broken_file_gives_one_clear_line(tmp_path: Path, name: str, data: bytes, said: str) -> None:
    with pytest.raises(Unreadable) as refused:
        read(tmp_path / name, data)
    words = str(refused.value)
    assert said in words and "\n" not in words and len(words) < 400, words


def test_a_damaged_parquet_file_and_an_encrypted_pdf_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": [f"text {number} " * 50 for number in range(5000)]}), file, row_group_size=1000)
    data = bytearray(file.read_bytes())
    with pytest.raises(Unreadable, match="no Parquet"):
        read(file, bytes(data[: len(data) // 2]))
    middle = len(data) // 2
    data[middle : middle + 2000] = b"\xff" * 2000
    with pytest.raises(Unreadable, match="damaged after row"):
        read(file, bytes(data))
    encrypted_pdf(tmp_path / "a.pdf", "password", "owner")
    with pytest.raises(Unreadable, match="encrypted"):
        read(tmp_path / "a.pdf")


def test_running_text_is_of_no_other_kind(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match="kind corpus, not chat"):
        read(tmp_path / "a.txt", "words", CHAT)


@given(st.text(st.sampled_from("ab.! \n\t\r#é😀"), max_size=300).map(lambda text: text * 40))
def test_pieces_lose_no_word(text: str) -> None:
    pieces = split(text)
    assert all(0 < len(piece) <= PIECE_CHARS for piece in pieces)
    assert "".join("".join(pieces).split()) == "".join(text.split())


COUNTS = {
    "prompts": (DEMONSTRATION, 296, 0),
    "mt_bench": (CHAT, 31, 49),
    "hh_harmless": (PREFERENCE, 998, 2),
    "gsm8k": (DEMONSTRATION, 200, 0),
    "xstest": (None, 0, 225),
    "crows_pairs": (None, 0, 400),
}


@pytest.mark.parametrize("name", COUNTS)
def test_outside_data_comes_in_with_the_right_counts(name: str) -> None:
    file = SHARED_DATA / f"{name}.jsonl"
    if not file.exists():
        pytest.skip(f"no outside data at {SHARED_DATA}")
    reading = Reading(file, Layout.JSONL, None)
    lines = list(reading)
    assert (reading.kind, len(contents(lines)), len(skipped(lines))) == COUNTS[name]
