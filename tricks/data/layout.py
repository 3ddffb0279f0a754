"""One rule for class folders, in a folder or an archive: from names alone, what is a class, a split, or left out."""

import contextlib
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tricks.data.files import DataError

PICTURES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".webp", ".gif", ".tif", ".tiff", ".avif")
PICTURES += (".ppm", ".pgm", ".pbm", ".pnm")
SYSTEM = {"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "$recycle.bin", "recycler", "system volume information"}
SYSTEM |= {"lost+found", "@eadir", "#recycle", "@recycle", "#snapshot", "@tmp", "@recently-snapshot", "__pycache__"}
SYSTEM |= {"network trash folder", "temporary items"}  # all of them in lower case
ROLES = {  # words in a split's name; those to test on in the order of preference
    "train": "train|training|trn|trainval",
    "test": "test|testing|tst",
    "validation": "val|valid|validation|validate",
    "evaluation": "eval|evaluation",
    "development": "dev|development",
}
FILLER = "sets?|data|dataset|split|folder|files|seg|images?|imgs?|pictures?|photos?"  # says nothing about a split
WANTED = "train/ and test/, or class folders alone"
DEPTH = "<class>/<picture> or <split>/<class>/<picture>"
FIFTH = "a fifth of each class, by a hash of the name"


@dataclass(frozen=True)
class Report:
    """What was taken for what, and what was not used."""

    classes: tuple[str, ...]
    train: str  # the folder
    test: str
    splits: dict[str, int]  # pictures in the splits that are not used
    endings: dict[str, int]  # files that are no pictures
    empty: tuple[str, ...]  # folders without pictures beside the splits, or beside an outer folder
    system: tuple[str, ...]  # names of folders and files that are a system's own

    def lines(self) -> tuple[str, ...]:
        """For the reader."""
        more = f" ... and {len(self.classes) - 10} more" if len(self.classes) > 10 else ""
        left = [f"{n:,} {'picture' if n == 1 else 'pictures'} in {name}" for name, n in self.splits.items()]
        left += _counted(self.endings)
        left += [f"folders without pictures ({', '.join(self.empty)})"] if self.empty else []
        kinds = sorted(set(self.system))
        lines = [f"classes: {', '.join(self.classes[:10])}{more}", f"train: {self.train}", f"test: {self.test}"]
        lines += [f"left out: {', '.join(left)}"] if left else []
        if kinds:
            own = f"{', '.join(kinds[:3])}{', ...' if len(kinds) > 3 else ''}"
            lines.append(f"passed over: {len(self.system)} of the system's own ({own})")
        return tuple(lines)


@dataclass(frozen=True)
class Layout:
    """Names of pictures by class. Where `test` is None, a part of each class is to be tested on."""

    train: dict[str, list[str]]
    test: dict[str, list[str]] | None
    report: Report


@dataclass
class _Folder:
    """What lies in a folder, and how much below it."""

    folders: dict[str, "_Folder"] = field(default_factory=dict)
    pictures: list[str] = field(default_factory=list)  # by their whole names
    below: int = 0  # pictures
    first: str = ""  # of them
    others: Counter[str] = field(default_factory=Counter)  # files below that are no pictures, by ending

    def filled(self) -> dict[str, "_Folder"]:
        """The folders in it that have pictures below them."""
        return {name: each for name, each in sorted(self.folders.items()) if each.below}


# Names --------------------------------------------------------------------------------------------------------------


def decoded(raw: Sequence[bytes]) -> list[str]:
    """Names in the first encoding that fits all of them: UTF-8, that of Korean Windows, that of the first zip files.

    Western names may fit the Korean one by chance, but they have no syllable of its common half in them.
    """
    for encoding, sign in (("utf8", b""), ("cp949", rb"[\xb0-\xc8][\xa1-\xfe]")):
        with contextlib.suppress(UnicodeDecodeError):
            if any(re.search(sign, name) for name in raw):
                return [name.decode(encoding) for name in raw]
    return [name.decode("cp437") for name in raw]  # has a character for every byte


def readable(names: Sequence[str]) -> list[str]:
    """Names as they are shown and compared: decoded if they are not in this system's encoding, and in NFC."""
    try:
        "".join(names).encode()
    except UnicodeEncodeError:  # Python's stand-ins for bytes that did not fit
        names = decoded([name.encode("utf8", "surrogateescape") for name in names])
    return [unicodedata.normalize("NFC", name) for name in names]


def is_system(part: str) -> bool:
    """Whether a folder or file of this name is hidden, or made by a system for itself."""
    return part.startswith((".", "__MACOSX")) or part.lower() in SYSTEM


def is_picture(name: str) -> bool:
    """Whether the name has a picture's ending, and no part of it is a system's own."""
    return name.lower().endswith(PICTURES) and not any(map(is_system, name.split("/")))


# The rule -----------------------------------------------------------------------------------------------------------


def arrange(where: Path, names: Iterable[str]) -> Layout:
    """Which pictures belong to which class and split, of all names in the folder or archive `where`.

    Folders' names end in "/". Outer folders that all pictures share are dropped. What is left must be <class>/<picture>
    or <split>/<class>/<picture>; DataError says what else was found, with examples, and what would be right.
    """
    root, system = _tree(where, names)
    if not root.below:
        found = f"; there are {', '.join(_counted(root.others))}" if root.others else ""
        raise DataError(f"{where} holds no pictures ({', '.join(PICTURES)}) in class folders{found}")
    outer, base, empty = _without_outer(root)
    splits = _splits_in(base)
    empty += sorted(base.folders.keys() - splits.keys()) if splits else []
    parts = {name: _without_repeated(name, base.folders[name]) for name in splits} or {"": ([], base)}
    _refuse_twice(where, base, [name for name in base.folders if not _role(name)])
    for _, folder in parts.values() if splits else ():
        _refuse_twice(where, folder, folder.folders)
    if not splits:
        _refuse_beside_splits(where, base)
    folders = {name: folder for name, (_, folder) in parts.items()}
    _refuse_loose(where, folders)
    _refuse_deep(where, folders)
    train, test = _choose(where, splits) if splits else ("", None)

    def shown(name: str) -> str:
        return "/".join([*outer, *filter(None, [name]), *parts[name][0]])

    used = {"training": parts[train][1]} | ({"test": parts[test][1]} if test else {})
    classes = tuple(sorted({name for folder in used.values() for name in folder.folders}))
    if len(classes) < 2:
        raise DataError(f"{where} has one class, {''.join(classes)!r}: classification needs at least two class folders")
    for name in classes:
        for part, folder in used.items():
            found = folder.folders.get(name, _Folder())
            if not found.below:
                only = f" (only {', '.join(_counted(found.others))})" if found.others else ""
                do = "Add some, or remove the class folder"
                raise DataError(f"{where}: class {name!r} has no {part} picture{only}. {do}")
    report = Report(
        classes=classes,
        train=shown(train) if test else ", ".join(filter(None, [shown(train), "all but the test set"])),
        test=shown(test) if test else FIFTH,
        splits={shown(name): base.folders[name].below for name in splits if name not in (train, test)},
        endings=dict(root.others),
        empty=tuple(empty),
        system=tuple(sorted(name.rpartition("/")[2] for name in system)),
    )
    by_class = [{name: folder.folders[name].pictures for name in classes} for folder in used.values()]
    return Layout(by_class[0], by_class[1] if test else None, report)


def _tree(where: Path, names: Iterable[str]) -> tuple[_Folder, set[str]]:
    """Everything that is not a system's own, and the names of what is."""
    root, system, seen = _Folder(), set(), set()
    for name in names:
        *parents, last = name.split("/")  # of a folder, the last one is empty
        around = [root]
        for depth, part in enumerate(parents, 1):
            inner = around[-1].folders.get(part)
            if inner is None:
                if is_system(part):
                    system.add("/".join(parents[:depth]))
                    break
                inner = around[-1].folders[part] = _Folder()
            around.append(inner)
        else:
            if is_system(last):
                system.add(name)
            elif last.lower().endswith(PICTURES):
                if name in seen:
                    same = "names that differ only in how accents are stored are the same"
                    raise DataError(f"{where} holds {name} twice ({same}): rename or remove one of them")
                seen.add(name)
                around[-1].pictures.append(name)
                for folder in around:
                    folder.below += 1
                    folder.first = min(folder.first or name, name)
            elif last:
                ending = os.path.splitext(last)[1].lower() or "without an ending"
                for folder in around:
                    folder.others[ending] += 1
    return root, system


def _without_outer(root: _Folder) -> tuple[list[str], _Folder, list[str]]:
    """The outer folders that all pictures share; the folder in them that has more; empty folders beside them."""
    outer, base, empty = [], root, []
    while len(filled := base.filled()) == 1 and not base.pictures:
        ((name, only),) = filled.items()
        inner = only.filled()
        classes = any(folder.pictures for folder in inner.values()) and not _splits(inner)
        if not inner or (classes and _splits([name])):  # a class; a split that stands alone
            break
        empty += sorted(base.folders.keys() - filled.keys())
        outer, base = [*outer, name], only
    return outer, base, empty


def _without_repeated(name: str, split: _Folder) -> tuple[list[str], _Folder]:
    """The same for training_set/training_set, as in some of Kaggle's archives."""
    inner = []
    while not split.pictures and [each.casefold() for each in split.folders] == [name.casefold()]:
        ((name, split),) = split.folders.items()
        inner.append(name)
    return inner, split


def _splits(names: Iterable[str]) -> dict[str, str]:
    """What each of these folders is a split for, if all of them are splits; else {}, as for classes."""
    found = {name: _role(name) for name in names}
    roles = set(found.values())
    words = "|".join(ROLES.values())
    plain = all(_says(words, token) or _says("", token) for name in found for token in _tokens(name))
    # bullet_train and steam_train are classes
    return found if "" not in roles and (plain or ("train" in roles and len(roles) > 1)) else {}


def _role(name: str) -> str:
    """What a folder of this name may be a split for, or ""."""
    return next((role for role, words in ROLES.items() if any(_says(words, token) for token in _tokens(name))), "")


def _tokens(name: str) -> list[str]:
    return [token for token in re.split(r"[_\-. ]", name.casefold()) if token]


def _says(words: str, token: str) -> bool:
    return bool(re.fullmatch(rf"({FILLER})?({words})({FILLER})?(\d+(x\d+)?)?", token))


def _splits_in(base: _Folder) -> dict[str, str]:
    """The splits in a folder; {} if it has class folders."""
    splits = {} if base.pictures else _splits(base.filled())
    for name in sorted(base.folders) if splits else ():  # an empty test/ is a mistake to be told of
        for split in _splits([name]).values():
            if not any((split == "train") == (other == "train") for other in splits.values()):
                splits[name] = split
    return splits


def _choose(where: Path, splits: Mapping[str, str]) -> tuple[str, str | None]:
    """The folders to train and to test on."""
    by_split = {split: [name for name in sorted(splits) if splits[name] == split] for split in ROLES}
    for split, names in by_split.items():
        if len(names) > 1:
            same = f"{' and '.join(names)}, which both mean {split}"
            raise DataError(f"{where} holds {same}: put them together, or move one away")
    train, *tests = [name for names in by_split.values() for name in names or [None]]
    if train is None:
        other = "Rename a folder that is not meant so"
        raise DataError(f"{where} holds {', '.join(sorted(splits))}. Wanted: {WANTED}. {other}")
    return train, next(filter(None, tests), None)


# What is refused ----------------------------------------------------------------------------------------------------


def _refuse_twice(where: Path, folder: _Folder, suspects: Iterable[str]) -> None:
    """One of these folders has again what lies beside it."""
    filled = folder.filled()
    for name in sorted(filled.keys() & set(suspects)):
        inner = filled[name]
        around, within = filled.keys() - {name}, inner.filled().keys()
        if around and within and (around <= within or within <= around):
            both = min(around & within)
            found = f"{filled[both].first} and {inner.folders[both].first}"
            raise DataError(f"{where} holds the set twice, such as {found}: move {name}/, or what is beside it, away")


def _refuse_beside_splits(where: Path, base: _Folder) -> None:
    filled = base.filled()
    splits = _splits([name for name, each in filled.items() if each.filled() and _role(name)])
    if splits and not base.pictures:
        rest = sorted(filled.keys() - splits)
        found = f"{filled[min(splits)].first} and {filled[rest[0]].first}"
        do = f"Pictures without a class cannot be used: move {', '.join(rest)} away, or into a split"
        raise DataError(
            f"{where} holds {', '.join(sorted(splits))}, and {', '.join(rest)} beside them, such as {found}. "
            f"Wanted: {WANTED}. {do}"
        )


def _refuse_loose(where: Path, parts: Mapping[str, _Folder]) -> None:
    """Pictures that lie in no class folder, in these splits, or in what has none, which is called ""."""
    loose = {name: folder for name, folder in parts.items() if folder.pictures}
    if not loose:
        return
    picture = min(min(folder.pictures) for folder in loose.values())
    in_class = [each.first for folder in parts.values() for each in folder.filled().values()]
    alone = [f"{name}/" for name, folder in loose.items() if name and not folder.filled()]
    if in_class:
        do = f"Without a class a picture cannot be used: move {' and '.join(alone) or 'it'} away, or into class folders"
        raise DataError(f"{where}: {picture} lies in no class folder; wanted is {DEPTH}, as is {min(in_class)}. {do}")
    if alone:
        some = " and ".join(folder.first for folder in list(loose.values())[:2])
        do = "Wanted is <split>/<class>/<picture>: sort them into a folder for each class"
        raise DataError(f"{where}: there are no class folders in {' and '.join(alone)}, only {some} and the like. {do}")
    raise DataError(f"{where}: {picture} lies in no class folder; wanted is {DEPTH}")


def _refuse_deep(where: Path, parts: Mapping[str, _Folder]) -> None:
    """Pictures that lie in a folder inside a class folder."""
    classes = [each for part in parts.values() for each in part.filled().items()]
    flat = [min(each.pictures) for _, each in classes if each.pictures]
    beside = f", {min(flat)} does not" if flat else ""
    rename = "; or, if these are splits, call them train/ and test/" if "" in parts and not flat else ""
    for name, folder in classes:
        for inner_name, inner in folder.filled().items():
            above, last = inner.first.rpartition(f"/{inner_name}/")[0], inner.first.rpartition("/")[2]
            raise DataError(
                f"{where}: {inner.first} lies in a folder inside the class folder {name!r}{beside}. Wanted is {DEPTH}: "
                f"move the pictures up, as to {above}/{last}, or away{rename}"
            )


def _counted(endings: Mapping[str, int]) -> list[str]:
    """'3 .txt', '1 .csv': the most frequent first."""
    return [f"{number:,} {ending}" for ending, number in sorted(endings.items(), key=lambda each: (-each[1], each[0]))]
