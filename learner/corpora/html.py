"""The main text of an HTML page."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

from bs4 import BeautifulSoup, Tag, XMLParsedAsHTMLWarning
from bs4.element import PreformattedString

from learner.corpora.files import check_text, read_whole
from learner.corpora.pieces import entries, pack, paragraphs
from learner.corpora.spec import MAX_WHOLE_BYTES, Entry, Unreadable

BESIDE = [
    "script", "style", "noscript", "template", "nav", "header", "footer", "aside", "form", "button", "iframe", "svg", "canvas",
    "object", "select", "dialog", "head",
]  # fmt: skip
BLOCKS = [
    "address", "article", "blockquote", "dd", "details", "div", "dl", "dt", "fieldset", "figcaption", "figure", "h1", "h2",
    "h3", "h4", "h5", "h6", "hr", "li", "main", "ol", "p", "pre", "section", "summary", "table", "tbody", "thead", "tr", "ul",
]  # fmt: skip
MAX_DEPTH = 2000  # a p or li that is never closed holds all that follow
CELLS = ["td", "th"]


def read_html(file: Path) -> Iterator[Entry]:
    """The text of `main`, of the articles, or of the whole body, without what stands beside it; as paragraphs, packed.

    Raises `Unreadable` for a file without an element or without text.
    """
    data = read_whole(file, MAX_WHOLE_BYTES, "a page")
    check_text(data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", XMLParsedAsHTMLWarning)  # XHTML is HTML here
        soup = BeautifulSoup(data, "html.parser")
    _check_depth(soup)
    if soup.find() is None:
        raise Unreadable("the file holds no HTML element: expected a page")
    text = "\n\n".join(_text(part) for part in _main(soup))
    if not text.strip():
        raise Unreadable("the page holds no text")
    return entries(pack(paragraphs(enumerate(StringIO(text), 1))), "line of text")


def _check_depth(soup: BeautifulSoup) -> None:
    """Raises `Unreadable` where finding the way through the page would take very long."""
    depths = {id(soup): 0}
    for tag in soup.find_all():
        depth = depths[id(tag)] = depths[id(tag.parent)] + 1
        if depth > MAX_DEPTH:
            raise Unreadable(f"the page has more than {MAX_DEPTH} elements within each other: expected what people read")


def _main(soup: BeautifulSoup) -> list[Tag]:
    main = soup.find("main") or soup.find(attrs={"role": "main"})
    if isinstance(main, Tag):
        return [main]
    outer = [article for article in soup.find_all("article") if article.find_parent("article") is None]
    return outer or [soup.body or soup]


def _text(part: Tag) -> str:
    """Blocks as paragraphs, `br` as the end of a line, cells of a row beside each other."""
    for tag in part.find_all(BESIDE):
        tag.decompose()
    as_written = {id(words) for tag in part.find_all("pre") for words in tag.find_all(string=True)}
    for words in part.find_all(string=True):
        if isinstance(words, PreformattedString):  # comments and declarations
            words.extract()
        elif id(words) not in as_written:
            words.replace_with(re.sub(r"\s+", " ", words))
    for tag in part.find_all("br"):
        tag.replace_with("\n")
    for tag in part.find_all(CELLS):
        tag.append(" ")
    for tag in part.find_all(BLOCKS):
        gap = "\n" if tag.name in ("li", "tr", "dt", "dd") else "\n\n"
        tag.insert_before(gap)
        tag.insert_after(gap)
    lines = "\n".join(re.sub(r"[ \t\xa0]+", " ", line).strip() for line in part.get_text().splitlines())
    return re.sub(r"\n{3,}", "\n\n", lines).strip()
