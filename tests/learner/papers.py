"""PDF files made by hand, as no library here writes text into one."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

from pypdf import PdfReader, PdfWriter


def pdf(pages: list[list[str]]) -> bytes:
    """A PDF with these lines on its pages; a page without lines is blank."""
    kids = " ".join(f"{4 + 2 * number} 0 R" for number in range(len(pages)))
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for number, lines in enumerate(pages):
        drawn = " ".join(f"1 0 0 1 50 {700 - 20 * row} Tm ({line}) Tj" for row, line in enumerate(lines))
        stream = f"BT /F1 12 Tf {drawn} ET"
        page = "/Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Resources << /Font << /F1 3 0 R >> >>"
        objects.append(f"<< {page} /Contents {5 + 2 * number} 0 R >>")
        objects.append(f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream")
    out, places = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += f"{number} 0 obj\n{body}\nendobj\n".encode()
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    end = f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}trailer\n<< /Size {len(objects) + 1} /Root 1 0 R >>\n"
    return out + end.encode() + f"startxref\n{len(out)}\n%%EOF\n".encode()


def encrypted_pdf(file: Path, password: str, owner: str) -> None:
    writer = PdfWriter(clone_from=PdfReader(BytesIO(pdf([["a secret"]]))))
    writer.encrypt(password, owner, algorithm="AES-256")
    with file.open("wb") as stream:
        writer.write(stream)
