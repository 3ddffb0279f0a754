"""The data are part of a run's identity: other pictures, other classes are said and started anew, never mixed."""

import os
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from tricks.data import cifar, sets
from tricks.data.files import DataError
from tricks.data.sets import KNOWN, load
from tricks.recipe import BASELINE, teacher_of
from tricks.records import make, store
from tricks.records.statistics import compare
from tricks.records.store import find, load_all, load_run, lookup

TINY = replace(BASELINE, image_size=16, batch_size=4, epochs=1)


@pytest.fixture
def own(course, monkeypatch):
    """A course of one's own, with all that a run keeps: the folder of the reader's records."""
    monkeypatch.setattr(make, "CACHE", course / "data" / "cache")
    monkeypatch.setattr(make, "WEIGHTS", course / "data" / "weights")
    monkeypatch.setattr(store, "RUNS", course / "data" / "runs")
    monkeypatch.setattr(store, "OWN_RUNS", course / "data" / "own")
    return course / "data" / "own"


@pytest.fixture
def birds(tmp_path, write, pictures):
    return write(tmp_path / "birds", pictures({"crow": 10, "owl": 10}))


def run(path, **change):
    """Train on the data at this path; the run, and what was said."""
    said = []
    recipe = replace(TINY, **{"dataset": str(path), **change})
    return make.run(recipe, progress=said.append), said


def trained(said):
    return any("epoch 1 of 1" in line for line in said)


# The fingerprint


def test_a_fingerprint_is_of_the_content_and_neither_of_dates_nor_of_packing(course, tmp_path, write, pictures):
    content = pictures({"crow": 5, "owl": 5})
    folder, packed = write(tmp_path / "a" / "birds", content), write(tmp_path / "birds.zip", content)
    first = load(str(folder))
    assert len(first.fingerprint) == 16 and first.path == str(folder.resolve())
    os.utime(folder / "crow" / "000.jpg", (1, 1))
    assert load(str(folder)).fingerprint == first.fingerprint == load(str(packed)).fingerprint
    assert load(str(folder), image_size=64).fingerprint == first.fingerprint
    assert load(str(shutil.copytree(folder, tmp_path / "moved"))).fingerprint == first.fingerprint
    assert load(str(packed)).path == str(packed.resolve())


@pytest.mark.parametrize("stream", [False, True], ids=["decoded", "streamed"])
def test_a_fingerprint_changes_with_pictures_classes_and_labels(
    course, tmp_path, write, pictures, jpeg, stream, monkeypatch
):
    if stream:
        monkeypatch.setattr(sets, "STREAM_BYTES", 0)
    before = pictures({"crow": 5, "owl": 5})
    swapped = {name.replace("crow", "o").replace("owl", "crow").replace("o/", "owl/"): b for name, b in before.items()}
    others = {
        "picture": before | {"crow/000.jpg": jpeg(99, size=(50, 50))},
        "more": before | {"crow/005.jpg": jpeg(99)},
        "class": {name.replace("crow", "wren"): data for name, data in before.items()},
        "fewer": {name: data for name, data in before.items() if name != "owl/004.jpg"},
        "labels": swapped,
    }
    found = [load(str(write(tmp_path / n, c))).fingerprint for n, c in {"birds": before, **others}.items()]
    assert len(set(found)) == 6 if not stream else len(set(found)) >= 5


def test_classes_that_change_places_are_other_data_although_no_file_changed_size_or_date(course, tmp_path):
    for name, grey in (("crow", 0), ("owl", 200)):
        (tmp_path / "birds" / name).mkdir(parents=True)
        for number in range(5):
            file = tmp_path / "birds" / name / f"{number}.bmp"
            Image.new("RGB", (40, 40), (grey, grey, grey)).save(file)
            os.utime(file, (1_000_000_000,) * 2)
    first = load(str(tmp_path / "birds"))
    (tmp_path / "birds" / "crow").rename(tmp_path / "crow")
    (tmp_path / "birds" / "owl").rename(tmp_path / "birds" / "crow")
    (tmp_path / "crow").rename(tmp_path / "birds" / "owl")
    second = load(str(tmp_path / "birds"))
    assert second.fingerprint != first.fingerprint
    assert (first.train.images[0].max(), second.train.images[0].min()) == (0, 200)


# Records


def test_a_record_says_what_it_was_trained_on(own, birds):
    finished, said = run(birds)
    data = load(str(birds), 16)
    assert (finished.meta["data"], finished.meta["path"]) == (data.fingerprint, str(birds.resolve()))
    (path,) = own.rglob("*.json")
    assert path == finished.path(own) == own / "birds" / f"run-{finished.recipe.hash}-seed0-{data.fingerprint}.json"
    assert load_run(path) == finished and find(finished.recipe, own) == [finished] == load_all(own)
    again, said = run(birds)
    assert again == finished and said == [f"run, seed 0: already recorded in {path}"]


def test_other_pictures_under_the_same_path_are_trained_on_anew_and_nothing_is_written_over(
    own, birds, write, pictures
):
    first, _ = run(birds)
    before = {path: path.read_bytes() for path in own.rglob("*.json")}
    shutil.rmtree(birds / "owl")
    write(birds, pictures({"hawk": 10, "wren": 10}))
    second, said = run(birds)
    assert trained(said) and second.meta["data"] != first.meta["data"]
    assert said[0] == (f"birds holds other pictures than the run recorded in {first.path(own)}: trained anew")
    assert {path: path.read_bytes() for path in before} == before and len(list(own.rglob("*.json"))) == 2
    assert run(birds) == (second, [f"run, seed 0: already recorded in {second.path(own)}"])
    with pytest.raises(ValueError, match="seed 0 cannot be paired"):
        compare([second], [first])


def test_the_same_name_in_two_folders(own, tmp_path, write, pictures, monkeypatch):
    write(tmp_path / "a" / "pets", pictures({"cat": 10, "dog": 10}))
    write(tmp_path / "b" / "pets", pictures({"cat": 10, "dog": 10, "hen": 10}))
    monkeypatch.chdir(tmp_path / "a")
    first, _ = run("pets")
    monkeypatch.chdir(tmp_path / "b")
    second, said = run("pets")
    assert trained(said) and "other pictures" in said[0] and first.recipe == second.recipe
    assert {path.parent.name for path in own.rglob("*.json")} == {"pets"} and len(load_all(own)) == 2
    monkeypatch.chdir(tmp_path / "a")
    assert run("pets")[0] == first


def test_the_same_pictures_are_found_however_the_path_is_written_and_where_they_move(
    own, tmp_path, birds, write, monkeypatch
):
    first, _ = run(birds)
    monkeypatch.chdir(birds / "crow")
    for spelling in ("..", f"{birds}/", "../../birds", f"{birds}/crow/.."):
        assert run(spelling)[0] == first
    monkeypatch.chdir(birds)
    assert run(".") == (first, [f"run, seed 0: already recorded in {first.path(own)}"])
    monkeypatch.chdir(tmp_path)
    packed = write(tmp_path / "b.zip", {p.relative_to(birds).as_posix(): p.read_bytes() for p in birds.rglob("*.jpg")})
    assert run("birds")[0] == run(birds.rename(tmp_path / "elsewhere"))[0] == run(packed)[0] == first
    (said,) = run(packed)[1]
    assert said.endswith(f"with the same pictures in {birds}") and trained(run(packed, lr=0.2)[1])
    assert len(list(own.rglob("*.json"))) == 2


@pytest.mark.parametrize(
    "name",
    ["birds [v2]", "a*b?", "새들", "two words", ".hidden", "v1.0", "x" * 200, "새" * 80, "seed0", "-"]
    + [os.fsdecode("새".encode("cp949"))],
)
def test_any_name_that_a_folder_can_have(own, tmp_path, write, pictures, name, monkeypatch):
    path = write(tmp_path / "in" / name, pictures({"crow": 10, "owl": 10}))
    monkeypatch.chdir(path)
    first, said = run(".", teacher="resnet8")
    assert trained(said) and run(path, teacher="resnet8")[0] == first == run(".", teacher="resnet8")[0]
    (record,) = own.rglob("*.json")
    str(record).encode()
    assert record.parent.parent == own and find(first.recipe, own) == [first] == load_all(own)
    assert sorted(p.name for p in own.parent.iterdir()) == ["cache", "own"]


def test_an_old_record_that_does_not_know_its_data_is_not_the_result(own, birds):
    first, _ = run(birds)
    first.path(own).unlink()
    old = replace(first, meta={k: v for k, v in first.meta.items() if k not in ("data", "path")})
    before = old.save(own).read_bytes()
    again, said = run(birds)
    assert trained(said) and "does not say on which pictures" in said[0] and str(old.path(own)) in said[0]
    assert old.path(own).read_bytes() == before and again.path(own) != old.path(own)


def test_a_checkpoint_of_other_pictures_is_not_resumed(own, birds, write, pictures):
    def stop(line):
        if "epoch 1 of 2" in line:
            raise KeyboardInterrupt

    recipe = replace(TINY, dataset=str(birds), epochs=2)
    with pytest.raises(KeyboardInterrupt):
        make.run(recipe, progress=stop)
    content = {path: path.read_bytes() for path in birds.rglob("*.jpg")}
    write(birds, pictures({"hawk": 10}))
    said = []
    make.run(recipe, progress=said.append)
    assert "an unfinished run of other pictures" in said[0] and any("epoch 1 of 2" in line for line in said)
    shutil.rmtree(birds)
    for path, data in content.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    said = []
    resumed = make.run(recipe, progress=said.append)  # its own checkpoint is still there
    whole = make.run(recipe, record=False, progress=lambda _: None)
    assert resumed.rows == whole.rows and resumed.meta["data"] == whole.meta["data"]


# Weights


def test_a_teacher_of_other_classes_never_teaches(own, birds, write, pictures):
    def taught(seed):
        said = []
        recipe = replace(TINY, dataset=str(birds), teacher="resnet14")
        make.run(recipe, seed, progress=said.append)
        return any(line.startswith("training resnet14 on birds") for line in said)

    assert taught(0) and not taught(1)
    (birds / "crow").rename(birds / "zebra")
    assert taught(2)
    write(birds, pictures({"wren": 10}))
    assert taught(3) and not taught(4)
    (birds / "zebra").rename(birds / "crow")
    shutil.rmtree(birds / "wren")
    assert not taught(5)  # the first one is still there


@pytest.mark.parametrize("damage", ["other classes", "no safetensors"])
def test_weights_that_do_not_fit_are_never_loaded(own, birds, damage):
    recipe = replace(TINY, dataset=str(birds), teacher="resnet8")
    data = load(str(birds), 16)
    path = make.weights_path(teacher_of(recipe), 0, data)
    path.parent.mkdir(parents=True)
    if damage == "other classes":
        make.keep_weights(path, make.model_for(teacher_of(recipe), 7, 0))
    else:
        path.write_bytes(b"not weights")
    reason = "not those of resnet8 for 2 classes" if damage == "other classes" else "header"
    with pytest.raises(DataError, match=f"{path} cannot be used .*{reason}.* Delete it, and they are made again"):
        make.teacher_for(recipe, data)


# Sets with a name


@pytest.fixture
def copies(course, write, pictures, monkeypatch):
    """`copies(kind)` puts another archive in the place of CIFAR-10."""
    monkeypatch.setitem(KNOWN, "cifar10", replace(KNOWN["cifar10"], counts=(20, 10)))

    def put(content):
        shutil.rmtree(course / "data" / "cifar10", ignore_errors=True)
        (course / "data" / "cifar10.tgz").unlink(missing_ok=True)
        if content == "archive":
            write(course / "data" / "cifar10.tgz", folders)
        elif content == "folder":
            write(course / "data" / "cifar10", folders)
        elif content == "other":
            write(course / "data" / "cifar10.tgz", dict(zip(folders, reversed(folders.values()), strict=True)))

    counts = {f"{p}/{c}": n for p, n in (("train", 2), ("test", 1)) for c in cifar.CLASSES}
    folders = pictures(counts)
    return put


def test_a_named_set_is_told_apart_by_source_and_content_and_matches_without_data(own, copies):
    copies("archive")
    first, _ = run("cifar10")
    assert first.meta["source"] == "cifar10 (JPEG copy)" and first.meta["data"] and "path" not in first.meta
    old = replace(first, meta={k: v for k, v in first.meta.items() if k != "data"})
    first.path(own).unlink()
    committed = old.save()
    assert committed.name == f"run-{TINY.hash}-seed0.json"  # as before
    assert run("cifar10")[0] == old  # same source, and nothing against it
    copies("none")
    assert run("cifar10")[0] == old  # no data at hand
    published = replace(old, meta={**old.meta, "source": "cifar10"})
    committed.unlink()
    published.save()
    copies("archive")
    mine, said = run("cifar10")
    assert trained(said) and mine.path(own).exists()
    assert said[0] == (
        f"cifar10 (JPEG copy) holds other pictures than the run recorded in {committed}, which is of cifar10: "
        "trained anew"
    )
    assert run("cifar10")[0] == mine
    copies("other")
    assert trained(run("cifar10")[1]) and len(list(own.rglob("*.json"))) == 2
    copies("archive")
    assert run("cifar10")[0] == mine


def test_a_study_never_mixes_data_within_an_arm(own, copies):
    copies("archive")
    first = make.run(TINY, 0, name="arm", folder=store.RUNS, progress=lambda _: None)
    assert make.run(TINY, 1, name="arm", folder=store.RUNS, progress=lambda _: None).meta["data"] == first.meta["data"]
    copies("other")
    with pytest.raises(DataError, match="arm, seed 2: .*recorded.*cifar10.*other pictures"):
        make.run(TINY, 2, name="arm", folder=store.RUNS, progress=lambda _: None)
    assert len(find(TINY)) == 2


def test_a_committed_record_has_no_path(own, course, write, pictures):
    write(course / "data" / "flowers", pictures({"ant": 10, "dog": 10}))
    recipe = replace(TINY, dataset="data/flowers")
    finished = make.run(recipe, 0, name="arm", folder=store.RUNS, progress=lambda _: None)
    text = finished.path().read_text()
    assert str(course) not in text and finished.path().parent.name == "flowers" and finished.meta["data"]
    assert find(recipe) == [finished]
    assert run(course / "data" / "flowers")[0] == finished  # however the path is written


def test_shapes_are_made_by_code_and_need_no_fingerprint(own, monkeypatch):
    monkeypatch.setattr("tricks.data.shapes.TRAIN_IMAGES", 40)
    monkeypatch.setattr("tricks.data.shapes.TEST_IMAGES", 20)
    finished, _ = run("shapes")
    assert "data" not in finished.meta and finished.path(own).name == f"run-{finished.recipe.hash}-seed0.json"
    monkeypatch.setattr(make, "load", lambda *_: pytest.fail("nothing is drawn to find a record"))
    assert run("shapes")[0] == finished


def test_auto_is_recorded_as_what_it_was(own, copies, monkeypatch):
    monkeypatch.setattr("tricks.data.shapes.TRAIN_IMAGES", 40)
    monkeypatch.setattr("tricks.data.shapes.TEST_IMAGES", 20)
    assert run("auto")[0].recipe.dataset == "shapes"
    copies("archive")
    finished, said = run("auto")
    assert finished.recipe.dataset == "cifar10" and trained(said) and run("cifar10")[0] == finished


def test_a_panels_run_is_looked_up_by_its_own_data(own, birds, write, pictures):
    first, _ = run(birds)
    assert lookup(first.recipe, 0, own, first.meta) == (first, first.path(own))
    assert lookup(first.recipe, 0, own, {**first.meta, "data": "0" * 16}) is None


def test_weights_are_numbers_of_the_pictures_that_are_there(own, birds):
    finished, _ = run(birds)
    data = load(str(birds), 16)
    kept = make.weights_for(finished.recipe, 0, data)
    assert make.weights_path(finished.recipe, 0, data).exists() and kept["head.weight"].shape == torch.Size([2, 128])
    assert np.isfinite(kept["head.weight"].numpy()).all()
