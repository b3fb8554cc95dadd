"""What Chromium leaves out of a PDF: an outline with parts, chapters and sections, and who made it."""

import io
from pathlib import Path

import pikepdf
from chapters import Chapter
from imprint import LICENSE, SUBJECT, Edition
from pikepdf import Name, OutlineItem

KEYWORDS = "attention, transformer, llama, tensor shapes"


def places(pdf: pikepdf.Pdf) -> dict[str, pikepdf.Array]:
    """Where each id stands that a link leads to: page, kind of view, left, top."""
    if Name.Dests in pdf.Root:
        found = pdf.Root.Dests
        return {name.lstrip("/"): found[name] for name in found}
    return dict(pikepdf.NameTree(pdf.Root.Names.Dests).items())


def page_numbers(pdf: pikepdf.Pdf) -> dict[tuple[int, int], int]:
    """The number of each page, the first being 1, by the object that it is."""
    return {page.obj.objgen: number for number, page in enumerate(pdf.pages, 1)}


def pages_of_ids(printed: bytes) -> dict[str, int]:
    """On which page each id stands that a link leads to."""
    pdf = pikepdf.open(io.BytesIO(printed))
    numbers = page_numbers(pdf)
    return {id: numbers[place[0].objgen] for id, place in places(pdf).items()}


def finish(printed: bytes, book: list[Chapter], about: Edition, file: Path) -> None:
    """Add the outline and the metadata, and write the file."""
    pdf = pikepdf.open(io.BytesIO(printed))
    found = places(pdf)
    with pdf.open_outline() as outline:
        outline.root.extend(outline_of(book, found))
    pdf.Root.PageMode = Name.UseOutlines
    pdf.Root.ViewerPreferences = pikepdf.Dictionary(DisplayDocTitle=True)
    with pdf.open_metadata() as metadata:
        metadata["dc:title"] = about.title
        metadata["dc:creator"] = [about.author]
        metadata["dc:description"] = SUBJECT
        metadata["dc:language"] = [about.language]
        metadata["dc:rights"] = f"CC BY 4.0, {LICENSE}"
        metadata["pdf:Keywords"] = KEYWORDS
    # In streams of objects the marks for screen readers, of each word of code, take a third of the room.
    pdf.save(file, object_stream_mode=pikepdf.ObjectStreamMode.generate)


def outline_of(
    book: list[Chapter], found: dict[str, pikepdf.Array]
) -> list[OutlineItem]:
    """Parts, in them chapters, in them sections."""
    top, parts = [], {}
    for chapter in book:
        entry = OutlineItem(chapter.title, found[chapter.name])
        entry.is_closed = True
        entry.children.extend(
            OutlineItem(title, found[id]) for id, title in chapter.sections
        )
        if not chapter.part:
            top.append(entry)
            continue
        if chapter.part not in parts:
            parts[chapter.part] = OutlineItem(chapter.part, found[chapter.name])
            top.append(parts[chapter.part])
        parts[chapter.part].children.append(entry)
    return top


def summary(file: Path) -> str:
    """How much it is."""
    return f"{len(pikepdf.open(file).pages)} pages, {file.stat().st_size / 1e6:.1f} MB"
