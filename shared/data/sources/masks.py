"""Files that are no images of a class, or may be none: masks, companions, copies."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence

from shared.data.sources.listing import Listing, is_image, last_of, parent_of, shown_names
from shared.data.sources.spelling import name_key
from shared.runtime.counts import count_of

IMAGES = {"images", "image", "imgs", "img"}
_MASKS = {
    *("masks", "mask", "segmentations", "segmentation", "annotations", "groundtruth", "gt", "labels"),
    *("overlays", "heatmaps", "contours", "thumbnails", "thumbs"),
}
NO_CLASSES = IMAGES | _MASKS
_WORDS = (
    "mask|masks|masked|seg|segmentation|segmented|gt|ground[ _-]?truth|label|labels|labeled|labelled|overlay|"
    "annotated|annotation|annotations|annot|contour|contours|heatmap|gradcam|cam|bbox|boxes|thumb|thumbnail"
)
_MASK_FILE = re.compile(rf"(.+?)[ ._(\[-]+({_WORDS})[)\]]?([ _-]?\d+)?$", re.IGNORECASE)
_WORD = re.compile(rf"({_WORDS})([ _-]?\d+)?", re.IGNORECASE)
_ANY_WORD = re.compile(rf"(?<![A-Za-z])({_WORDS})(?![A-Za-z])", re.IGNORECASE)
_MASK_FIRST = re.compile(rf"({_WORDS})[ ._-]+(.+)$", re.IGNORECASE)
_CUT = re.compile(r"(?<=.)(?=[ ._(\[-])|(?<=\d)(?=[A-Za-z])")  # where a suffix may begin
_LEAD = re.compile(r"[ ._)\]-]+(?=.)")  # where what a prefix leads may begin
_ROBOFLOW = re.compile(r"(.+)\.rf\.[0-9a-f]{16,}$")
_FRAME = re.compile(r"(.+?)[ _-]*frame[ _-]*\d+$", re.IGNORECASE)
_SOME = 0.1
_NEARLY_ALL = 0.8
_FEWEST = 3  # images with a companion that are no chance


def find_masks(listing: Listing, folder: str) -> list[str]:
    """Find files that must not be read as images of a class.

    These are files in folders such as ``masks/``; what lies beside a folder ``images/``; and ``1_mask.png``
    beside ``1.png``.

    Parameters
    ----------
    folder : str
        Of the class; ``""`` is the top.

    Returns
    -------
    list of str
        Files, sorted.
    """
    files = listing.all_in(folder)
    stems = {_stem(file) for file in files}
    # Where a folder is a case, `mask.png` lies beside `image.png`.
    with_images = {parent_of(file) for file in files if is_image(file) and not _WORD.fullmatch(_name(file))}
    return [
        file
        for file in files
        if _is_beside(listing, folder, file)
        or _is_mask(file, stems)
        or (_WORD.fullmatch(_name(file)) and is_image(file) and parent_of(file) in with_images)
    ]


def find_mask_folders(listing: Listing, folders: Sequence[str]) -> list[str]:
    """Find folders beside the classes that hold masks of their images.

    They are called as masks (``masks/``, ``ground truth/``), or as a class and that (``benign_masks/``), and
    nearly all of their files as images of the other folders. At least two other folders must remain, none of
    which is called as masks too: ``mask/`` and ``no_mask/`` are classes.

    Parameters
    ----------
    folders : sequence of str
        Those that hold files, side by side.
    """
    called = [folder for folder in folders if _called_masks(last_of(folder), folders)]
    rest = [folder for folder in folders if folder not in called]
    if len(rest) < 2 or any(_ANY_WORD.search(last_of(folder)) for folder in rest):
        return []
    images = {_name(file) for folder in rest for file in listing.all_in(folder)}
    return [folder for folder in called if _share_of(listing.all_in(folder), images) >= _NEARLY_ALL]


def _called_masks(name: str, folders: Sequence[str]) -> bool:
    others = {name_key(last_of(other)) for other in folders if last_of(other) != name}
    return name_key(name) in _MASKS or any(name_key(part) in others for part in _masked_by(name))


def _share_of(files: Sequence[str], images: set[str]) -> float:
    return sum(not images.isdisjoint((_name(file), *_masked_by(_name(file)))) for file in files) / len(files)


def find_companions(files: Sequence[str]) -> list[str]:
    """Say which files are called as other images and more: ``1_flip.png`` or ``1.jpg`` beside ``1.png``.

    That is said where nearly all images have such a companion.

    Parameters
    ----------
    files : sequence of str
        Of a class, without its masks.

    Returns
    -------
    list of str
        A sentence for each common suffix, and one for other extensions.
    """
    names = _by_stem(files)
    found = []
    twice = [own for own in names.values() if len(own) > 1]
    if len(twice) >= max(_FEWEST, _NEARLY_ALL * len(names)):
        found.append(f"{len(twice)} images are there with two extensions, such as {shown_names(twice[0])}")
    pairs = {stem: base for stem in names if (base := _longest(stem, names))}
    affixes = {stem: stem[len(base) :] for stem, base in pairs.items()}
    return found + _told(names, pairs, affixes, form="as another and {!r}")


def find_prefixed(files: Sequence[str]) -> list[str]:
    """Say which files are called as other images with more before: ``flip_1.png`` beside ``1.png``.

    That is said where nearly all images have such a companion. It is less telling than a suffix: images of two
    devices are called so too.

    Returns
    -------
    list of str
        A sentence for each common prefix.
    """
    names = _by_stem(files)
    pairs, affixes = {}, {}
    for stem in names:
        folder, name = parent_of(stem), last_of(stem)
        for cut in _LEAD.finditer(name):
            if (base := f"{folder}/{name[cut.end() :]}") in names:
                pairs[stem], affixes[stem] = base, name[: cut.end()]
                break
    return _told(names, pairs, affixes, form="{!r} and as another")


def find_copies(files: Sequence[str]) -> list[str]:
    """Say how many images may be made from others, where only some have such copies, or each has another name.

    These are called as another image and more (``1_aug7.png`` beside ``1.png``), as exports of Roboflow
    (``1_png.rf.0f...png``, several of each), or as frames of one video.

    Returns
    -------
    list of str
        At most one sentence.
    """
    names = _by_stem(files)
    stems = list(names)
    made = [stem for stem in stems if _longest(stem, names)]
    if len(made) >= max(_FEWEST, _SOME * len(stems)):
        return [f"{count_of(len(made), 'image')} may be made from others, such as {last_of(made[0])!r}"]
    for pattern, what in ((_ROBOFLOW, "copies of one image"), (_FRAME, "frames of one video")):
        matches = {stem: match for stem in stems if (match := pattern.match(last_of(stem)))}
        found = Counter(f"{parent_of(stem)}/{match[1]}" for stem, match in matches.items())
        several = sum(count for count in found.values() if count > 1)
        if several >= max(_FEWEST, _SOME * len(stems)):
            first = last_of(next(iter(matches)))
            return [f"{count_of(several, 'image')} may be {what} each, such as {first!r}"]
    return []


def _by_stem(files: Sequence[str]) -> dict[str, list[str]]:
    names = defaultdict(list)
    for file in filter(is_image, files):
        names[_stem(file)].append(file)
    return names


def _told(
    names: dict[str, list[str]], pairs: dict[str, str], affixes: dict[str, str], *, form: str
) -> list[str]:
    # A sentence for each affix that nearly all images have which are called as no other.
    counts = Counter(affixes.values())
    common = {affix for affix, count in counts.items() if count >= _FEWEST}
    alone = len(names) - sum(counts[affix] for affix in common)
    found = []
    for affix in sorted(common):
        if counts[affix] >= _NEARLY_ALL * alone:
            stem = next(stem for stem, own in affixes.items() if own == affix)
            pair = (names[pairs[stem]][0], names[stem][0])
            found.append(f"{counts[affix]} images are called {form.format(affix)}: {shown_names(pair)}")
    return found


def _longest(stem: str, stems: dict[str, list[str]]) -> str | None:
    # The stem of another file that this one begins with.
    start = len(parent_of(stem)) + 1
    cuts = (start + found.start() for found in _CUT.finditer(stem[start:]))
    return max((stem[:cut] for cut in cuts if stem[:cut] in stems), key=len, default=None)


def _is_beside(listing: Listing, folder: str, file: str) -> bool:
    *parents, name = file.removeprefix(f"{folder}/" if folder else "").split("/")
    for part in [*parents, name]:
        pictures = [other for other in listing.below(folder) if name_key(other) in IMAGES]
        if pictures:
            return part not in pictures
        if part is not name and name_key(part) in _MASKS:
            return True
        folder = f"{folder}/{part}" if folder else part
    return False


def _is_mask(file: str, stems: set[str]) -> bool:
    return any(f"{parent_of(file)}/{part}" in stems for part in _masked_by(_name(file)))


def _masked_by(name: str) -> list[str]:
    # What a name leaves without a word for masks: the image, or the class, that it may be a mask of.
    last, first = _MASK_FILE.match(name), _MASK_FIRST.match(name)
    return [*([last[1]] if last else []), *([first[2]] if first else [])]


def _stem(file: str) -> str:
    return f"{parent_of(file)}/{_name(file)}"


def _name(file: str) -> str:
    return last_of(file).rpartition(".")[0]
