"""`ClassFoldersSource`: one folder of images a class; folders train, val and test may lie above them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from shared.data.pixels.decode_pool import decode_files
from shared.data.pixels.files import FileTree, SubTree
from shared.data.pixels.levels import PixelRules
from shared.data.sources.folder_names import sides_below, tell_copies, tell_sides
from shared.data.sources.layout import find_layout
from shared.data.sources.listing import Listing, is_image, is_text, last_of, parent_of, shown_names
from shared.data.sources.masks import (
    IMAGES,
    NO_CLASSES,
    find_companions,
    find_copies,
    find_mask_folders,
    find_masks,
    find_prefixed,
)
from shared.data.sources.spelling import is_no_class, name_key, side_of
from shared.data.sources.table import Naming, Table, metadata_error
from shared.runtime.counts import count_of


@dataclass(frozen=True)
class ClassFoldersSource:
    """One folder of images a class; folders train, val and test may lie above them."""

    content: FileTree
    naming: Naming

    def table(self) -> Table:
        """One row a file, sorted by name; its notes say what is ignored.

        Raises
        ------
        MetadataError
            There are no class folders, or folders that only a guess could make sense of; all are named.
        """
        tree = self._tree()
        listing = Listing(sorted(tree.files()), tree.folders())
        sides = {top: side for top in listing.below("") if (side := side_of(top))}
        inner = {} if sides else sides_below(listing)
        layout = _Layout(listing, tree, sides_below=inner)
        inside = set(tree.files().values())
        outside = [name for name, real in self.content.files().items() if real not in inside and is_image(name)]
        if outside:
            layout.problems.append(
                f"outside the folder of the classes: {count_of(len(outside), 'image')}, {shown_names(outside)}"
            )
        for base in sides or [""]:
            layout.read(base)
        if sides:
            layout.look_beside(sides)
        rows = sorted(layout.labels)
        if not rows:
            problem = f"there are no folders with images, only {shown_names(listing.below(''))}"
            raise metadata_error(self.naming.origin, [problem, *layout.problems, *layout.advice()])
        if len(set(layout.labels.values())) < 2:
            layout.problems += layout.advice()
        columns = {"filename": rows, "label": [layout.labels[name] for name in rows]}
        if sides:
            columns["split"] = [sides[name.split("/")[0]] for name in rows]
        elif inner:
            columns["split"] = [inner[parent_of(name)] for name in rows]
        return Table(columns, tuple(dict.fromkeys(layout.problems)), tuple(layout.notes))

    def write(
        self, table: Table, *, out: Path, rules: PixelRules, workers: int | None, progress: bool
    ) -> dict[int, str]:
        """Decode the files."""
        files = self._tree().files()
        names = {row: files[name] for row, name in enumerate(table.columns["filename"])}
        return decode_files(
            self.content.root, names=names, out=out, rules=rules, workers=workers, progress=progress
        )

    def _tree(self) -> FileTree:
        # A ZIP can be read from the folder where its classes lie; a folder is named by data.path.
        tree = self.content
        if tree.root.is_dir():
            return tree
        found = find_layout(Listing(sorted(tree.files()), tree.folders()))
        return SubTree(tree, found[1]) if found and found[0] == "classes" and found[1] else tree


@dataclass
class _Layout:
    listing: Listing
    tree: FileTree
    sides_below: dict[str, str]  # by folder, where the split lies below the classes
    labels: dict[str, str] = field(default_factory=dict)  # by file
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def read(self, base: str) -> None:
        # Takes the folders in `base` as classes.
        listing = self.listing
        self._look_at_loose_files(base)
        folders = [f"{base}/{name}" if base else name for name in listing.below(base)]
        if base and not folders and not listing.directly_in(base):
            self.problems.append(
                f"folder {base!r} is empty; fill it, or remove it to have its rows drawn from train"
            )
        masks = {folder: set(find_masks(listing, folder)) for folder in folders}
        rows = {
            folder: [file for file in listing.all_in(folder) if file not in masks[folder]] for folder in folders
        }
        some_images = any(is_image(file) for files in rows.values() for file in files)
        if some_images and (texts := [file for files in rows.values() for file in files if is_text(file)]):
            rows = {folder: [file for file in files if not is_text(file)] for folder, files in rows.items()}
            self.notes.append(
                f"ignored, as they are no images: {count_of(len(texts), 'file')}, {shown_names(texts)}"
            )
        full = [folder for folder, files in rows.items() if files]
        for folder in find_mask_folders(listing, full):
            self.notes.append(
                f"folder {folder!r} is ignored: it holds masks of the other folders' images "
                f"({count_of(len(rows.pop(folder)), 'file')})"
            )
            full.remove(folder)
            folders.remove(folder)
        self.problems += tell_sides(full, listing)
        copies, leftovers = tell_copies([last_of(folder) for folder in full])
        self.problems += copies
        self.notes += leftovers
        for folder, files in rows.items():
            if not files or (some_images and not any(map(is_image, files))):
                instead = f", only {shown_names(files)}" if files else ""
                self.problems.append(f"folder {folder!r} holds no images{instead}; fill it, or move it away")
                continue
            if name_key(last_of(folder)) in IMAGES or is_no_class(last_of(folder)):
                self.problems.append(
                    f"folder {folder!r} is no class; data.path is the folder of the classes, or of train, val "
                    f"and test above them; move away what is neither"
                )
            self._look_below(folder, {name_key(name) for name in listing.below(base)})
            self._look_for_companions(folder, files, given=bool(base or self.sides_below))
            self.labels |= dict.fromkeys(files, last_of(folder))
        self._look_at_names_below(folders)
        if found := sorted(set().union(*masks.values())):
            self.notes.append(
                f"ignored, as they lie beside images/ or are masks of images: {count_of(len(found), 'file')}, "
                f"{shown_names(found)}"
            )

    def look_beside(self, sides: dict[str, str]) -> None:
        # Judges what lies beside the split folders.
        self._look_at_loose_files("")
        for side, count in Counter(sides.values()).items():
            if count > 1:
                alike = shown_names(top for top in sides if sides[top] == side)
                self.problems.append(f"folders {alike} both mean {side}; merge them, or move one away")
        classes = {name_key(name) for top in sides for name in self.listing.below(top)}
        for top in (name for name in self.listing.below("") if name not in sides):
            files, below = self.listing.all_in(top), self.listing.all_below(top)
            images = sum(map(is_image, files))
            beside = f"folder {top!r} beside the split folders {shown_names(sides)}"
            if any(side_of(name) for name in self.listing.below(top)):
                if self._sizes(files, f"{top}/") == self._sizes(
                    [f for s in sides for f in self.listing.all_in(s)]
                ):
                    self.notes.append(f"{beside} is a second copy of them (same names and sizes) and ignored")
                else:
                    self.problems.append(
                        f"{beside} has split folders of its own, with other files; move one of the "
                        f"two away, or set data.path={self.tree.root / top}"
                    )
            elif images and classes & {name_key(last_of(name)) for name in (top, *below)}:
                self.problems.append(
                    f"{beside} is named like a class, or holds folders that are; put its images below a split "
                    f"folder (train, val, test), or move it away"
                )
            else:
                self.notes.append(f"{beside} is ignored ({count_of(images, 'image')})")

    def advice(self) -> list[str]:
        # Where class folders, or a metadata.csv, lie instead.
        found = find_layout(self.listing)
        if found is None or found == ("classes", ""):
            return []
        path = self.tree.root / found[1]
        if found[0] == "folder":
            if self.tree.root.is_file():
                return [f"there is a metadata.csv: set data=zip data.path={self.tree.root}"]
            return [f"there is a metadata.csv: set data=folder data.path={path}"]
        return [f"if the folders of splits or classes lie deeper, set data.path={path}"]

    def _sizes(self, files: Iterable[str], prefix: str = "") -> dict[str, int | None]:
        return {file.removeprefix(prefix): size for file, size in self.tree.sizes(files).items()}

    def _look_at_loose_files(self, base: str) -> None:
        files = self.listing.directly_in(base)
        where = f"in {base!r}" if base else "at the top"
        broken = [file for file, size in self.tree.sizes(files).items() if size is None]
        images = [file for file in files if is_image(file) and file not in broken]
        rest = [file for file in files if file not in images and file not in broken]
        if broken:
            self.problems.append(f"links lead nowhere: {shown_names(broken)}; mend or remove them")
        if images:
            found = f"in no class folder: {count_of(len(images), 'image')} {where}, {shown_names(images)}"
            self.problems.append(f"{found}; move them into one, or away")
        if rest:
            hint = "; data=folder reads metadata.csv" if "metadata.csv" in rest else ""
            self.notes.append(
                f"ignored, as they lie in no class folder: {count_of(len(rest), 'file')} {where}, "
                f"{shown_names(rest)}{hint}"
            )

    def _look_below(self, folder: str, classes: set[str]) -> None:
        own = name_key(last_of(folder))
        others = classes if self.listing.directly_in(folder) else classes - {own}
        below = self.listing.all_below(folder)
        splits = [name for name in below if side_of(last_of(name)) and name not in self.sides_below]
        copies = [name for name in below if name_key(last_of(name)) in others]
        if splits:
            self.problems += [f"split folders are expected above the classes, not below: {shown_names(splits)}"]
            self.problems += self.advice()
        if copies:
            self.problems.append(
                f"folders below {folder!r} are named like classes: {shown_names(copies)}; move them "
                f"away if they are a second copy"
            )

    def _look_for_companions(self, folder: str, files: Sequence[str], *, given: bool) -> None:
        companions = find_companions(files)
        if not given and not companions:
            self.notes += [
                f"in {folder!r}, {found}: the split that is drawn may put them on two sides; data=folder and a "
                f"patient_id keep them together"
                for found in find_copies(files)
            ]
        for found in companions:
            if given:
                self.notes.append(f"in {folder!r}, {found}; move them away if they are masks")
            else:
                self.problems.append(
                    f"in {folder!r}, {found}: masks would be read as images, and copies of one would be on "
                    f"two sides of the split; move one kind away, or list those that are images of their own "
                    f"in a metadata.csv (data=folder), with a patient_id"
                )

        for found in find_prefixed(files):
            self.notes.append(f"in {folder!r}, {found}; move one kind away if it is made from the other")

    def _look_at_names_below(self, folders: Sequence[str]) -> None:
        names = [self.listing.below(folder) for folder in folders]
        below = [{name for name in own if name_key(name) not in NO_CLASSES} for own in names]
        same = set.intersection(*below) if len(below) > 1 else set()
        if self.sides_below:
            self.notes.append(
                f"the split is that of folders below the classes: {shown_names(self.sides_below)}"
            )
        elif len(same) > 1:
            self.notes.append(
                f"the folders {shown_names(sorted(same))} lie below each of {shown_names(folders)}, which are "
                f"read as the classes"
            )
        elif inner := sorted(set(self._folders_read(folders))):
            self.notes.append(
                f"{count_of(len(inner), 'folder')} lie{'s' if len(inner) == 1 else ''} below the classes, and "
                f"the images are split one by one: {shown_names(inner)}; if each is a patient, data=folder and "
                f"a patient_id keep them whole"
            )

    def _folders_read(self, folders: Iterable[str]) -> Iterator[str]:
        # Folders directly below a class, other than images/, whose files are rows.
        for folder in folders:
            for file in self.listing.all_in(folder):
                name, deeper, _ = file.removeprefix(f"{folder}/").partition("/")
                if deeper and file in self.labels and name_key(name) not in NO_CLASSES:
                    yield f"{folder}/{name}"
