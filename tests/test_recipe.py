"""A recipe is the whole experiment: every field is read, every bad value is refused, and its hash stays what it was."""

import ast
import hashlib
import inspect
import json
import math
import re
import sys
import types
from dataclasses import FrozenInstanceError, fields, replace

import pytest

from tricks import ROOT, recipe
from tricks.recipe import BASELINE, Recipe, Transfer, changes, teacher_of

NAMES = [field.name for field in fields(Recipe)]

INVALID = [  # field, value, what the message says is allowed
    ("image_size", 4, "[8, 1024]"),
    ("image_size", 2048, "[8, 1024]"),
    ("train_images", -1, "[0, 1e+08]"),
    ("label_noise", -0.1, "[0, 1]"),
    ("label_noise", 1.1, "[0, 1]"),
    ("split", "train", "test, validation"),
    ("augment", "randaugment", "none, crop_flip, paper"),
    ("epochs", 0, "[1, 10000]"),
    ("batch_size", 0, "[1, 1e+06]"),
    ("lr", 0.0, "above 0 and at most 100"),
    ("lr", -0.1, "above 0 and at most 100"),
    ("lr", math.nan, "above 0 and at most 100"),
    ("lr", math.inf, "above 0 and at most 100"),
    ("lr_batch", 0, "[1, 1e+06]"),
    ("warmup_epochs", -1.0, "[0, 10000]"),
    ("warmup_epochs", 12.0, "below epochs = 12"),
    ("schedule", "constant", "step, cosine, linear"),
    ("first_decay", 1.5, "[0, 1]"),
    ("momentum", 1.0, "[0, 0.9999]"),
    ("weight_decay", -1e-4, "[0, 1]"),
    ("label_smoothing", 1.0, "[0, 0.9999]"),
    ("label_smoothing", -0.1, "[0, 0.9999]"),
    ("mixup_alpha", -0.2, "[0, 100]"),
    ("temperature", 0.0, "above 0 and at most 1000"),
    ("distill_weight", -1.0, "[0, 1000]"),
    ("cutmix_alpha", -0.2, "[0, 100]"),
    ("whitening", 1, "bool"),
    ("dirac", "yes", "bool"),
    ("bias_lr", 0.0, "above 0 and at most 1000"),
    ("optimizer", "adam", "sgd, muon"),
    ("muon_lr", 0.0, "above 0 and at most 10"),
    ("ema_decay", 1.0, "[0, 0.99999]"),
    ("ema_bn", True, "False without ema_decay"),
    ("alternating_flip", 1, "bool"),
    ("trivial_augment", 1, "bool"),
    ("start_size", 4, "0 or a multiple of 4, at least 8 and below image_size = 32"),
    ("start_size", 18, "0 or a multiple of 4"),
    ("start_size", 32, "0 or a multiple of 4"),
    ("start_size", 2048, "[0, 1024]"),
    ("test_views", 1, "bool"),
    ("label_smoothing", "0.1", "float"),
    ("epochs", 12.0, "int"),
    ("epochs", True, "int"),
    ("lr", True, "float"),
    ("no_bias_decay", 1, "bool"),
    ("dataset", None, "str"),
    ("net", 8, "str"),
    ("teacher", None, "str"),
    ("tweak_b", "yes", "bool"),
    ("tweak_c", 0, "bool"),
    ("tweak_d", None, "bool"),
    ("zero_gamma", 1, "bool"),
    ("linear_scaling", "no", "bool"),
    ("amp", 1, "bool"),
    ("amp_dtype", "fp16", "auto, bfloat16, float16"),
]

OTHER = {  # a valid value for each field that is not its default
    **{name: True for name in NAMES if isinstance(getattr(BASELINE, name), bool)},
    **{name: getattr(BASELINE, name) + 1 for name in NAMES if type(getattr(BASELINE, name)) is int},
    **{name: 0.0625 for name in NAMES if isinstance(getattr(BASELINE, name), float)},
    "dataset": "imagenette",
    "split": "validation",
    "augment": "paper",
    "net": "resnet14",
    "schedule": "cosine",
    "optimizer": "muon",
    "teacher": "resnet20",
    "amp_dtype": "float16",
    "start_size": 16,
}
NEEDS = {"ema_bn": {"ema_decay": 0.5}}  # what a field needs beside it


def test_defaults_are_the_baseline_without_any_trick():
    tricks = ("tweak_b", "tweak_c", "tweak_d", "zero_gamma", "linear_scaling", "no_bias_decay", "amp")
    assert not any(getattr(BASELINE, name) for name in tricks)
    assert (BASELINE.warmup_epochs, BASELINE.label_smoothing, BASELINE.mixup_alpha, BASELINE.teacher) == (0, 0, 0, "")
    assert (BASELINE.schedule, BASELINE.momentum, BASELINE.first_decay) == ("step", 0.9, 30 / 120)


def test_frozen():
    with pytest.raises(FrozenInstanceError):
        BASELINE.lr = 0.2


@pytest.mark.parametrize(("field", "value", "allowed"), INVALID)
def test_invalid_value_is_refused_with_field_value_and_range(field, value, allowed):
    with pytest.raises(ValueError) as error:
        replace(BASELINE, **{field: value})
    message = str(error.value)
    assert f"Recipe.{field} = {value!r}" in message
    assert f": must be {allowed}" in message or f": must be in {allowed}" in message or f"one of {allowed}" in message


def test_every_field_refuses_something():
    assert {field for field, _, _ in INVALID} == set(NAMES)


def test_a_batch_is_mixed_once():
    for alone in ({"mixup_alpha": 0.2}, {"cutmix_alpha": 1.0}):
        assert changes(replace(BASELINE, **alone), BASELINE) == alone
    with pytest.raises(ValueError) as error:
        replace(BASELINE, mixup_alpha=0.2, cutmix_alpha=1.0)
    assert str(error.value).startswith("Recipe.cutmix_alpha = 1.0: must be 0 with mixup_alpha = 0.2: a batch is mixed")


@pytest.mark.parametrize(
    ("field", "augment", "why"),
    [
        ("alternating_flip", "none", "which mirrors no picture"),
        ("trivial_augment", "paper", "which has colours of its"),
    ],
)
def test_what_an_augmentation_has_no_place_for_is_refused(field, augment, why):
    assert changes(replace(BASELINE, **{field: True}), BASELINE) == {field: True}
    with pytest.raises(ValueError, match=f"Recipe.{field} = True: must be False with augment = '{augment}', {why}"):
        replace(BASELINE, augment=augment, **{field: True})


def test_every_number_has_a_range_at_its_field():
    for kind in (Recipe, Transfer):
        assert [field.name for field in fields(kind) if field.type in (int, float)] == []


def test_unknown_field_names_the_nearest():
    with pytest.raises(ValueError, match="no field 'label_smothing'. Nearest: 'label_smoothing'"):
        Recipe.from_dict({"label_smothing": 0.1})


def test_json_round_trip_is_exact():
    """Every field away from its default that can be at once, with a float that has no short decimal form."""
    off = {"cutmix_alpha": 0.0, "trivial_augment": False}  # mixup has the batches, and augment = "paper" the colours
    there = replace(BASELINE, **{**OTHER, "lr": 0.1 + 0.2, **off})
    back = Recipe.from_dict(json.loads(json.dumps(there.to_dict())))
    assert back == there
    assert back.hash == there.hash
    assert {name: type(value) for name, value in back.to_dict().items()} == {
        name: type(value) for name, value in there.to_dict().items()
    }


def test_missing_fields_take_their_default():
    """A record made before a field existed is still read."""
    assert Recipe.from_dict({"label_smoothing": 0.1}) == replace(BASELINE, label_smoothing=0.1)


def test_hash_is_of_the_changed_fields_only():
    """Written out once more, since the names of the records depend on it."""
    for different in ({}, {"label_smoothing": 0.1}, {"warmup_epochs": 1.0, "schedule": "cosine"}):
        expected = hashlib.sha256(json.dumps(different, sort_keys=True).encode()).hexdigest()[:8]
        assert replace(BASELINE, **different).hash == expected


def test_hash_tells_every_field_apart():
    hashes = {replace(BASELINE, **{name: OTHER[name]}, **NEEDS.get(name, {})).hash for name in NAMES} | {BASELINE.hash}
    assert len(hashes) == len(NAMES) + 1


def test_equal_recipes_have_equal_hashes():
    whole, real = replace(BASELINE, warmup_epochs=5), replace(BASELINE, warmup_epochs=5.0)
    assert whole == real
    assert whole.hash == real.hash


def test_hash_stays_when_a_field_is_added(monkeypatch):
    source = inspect.getsource(recipe)
    with_one_more = source.replace(
        "    # data\n", "    # data\n    new_trick: Annotated[float, Range(0, 1)] = 0.0\n", 1
    )
    assert with_one_more != source
    module = types.ModuleType("recipe_of_next_year")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(compile(with_one_more, "recipe_of_next_year.py", "exec"), module.__dict__)
    assert module.Recipe().hash == BASELINE.hash
    assert module.Recipe(label_smoothing=0.1).hash == replace(BASELINE, label_smoothing=0.1).hash
    assert module.Recipe(new_trick=0.5).hash != BASELINE.hash


def test_changes():
    assert changes(BASELINE, BASELINE) == {}
    assert changes(replace(BASELINE, label_smoothing=0.1, epochs=10), BASELINE) == {
        "label_smoothing": 0.1,
        "epochs": 10,
    }


def test_teacher_has_the_students_tricks_but_no_teacher():
    student = replace(
        BASELINE,
        label_smoothing=0.1,
        mixup_alpha=0.2,
        teacher="resnet20",
        temperature=4.0,
        distill_weight=0.5,
        test_views=True,
    )
    assert teacher_of(student) == replace(BASELINE, label_smoothing=0.1, mixup_alpha=0.2, net="resnet20")


def test_a_teacher_may_differ_from_its_student_in_what_the_students_net_does_not_have():
    student = replace(BASELINE, net="mobilenet-small", lr=0.2, teacher="resnet20 lr=0.4 tweak_d zero_gamma=true")
    assert teacher_of(student) == replace(BASELINE, net="resnet20", lr=0.4, tweak_d=True, zero_gamma=True)


@pytest.mark.parametrize(
    ("teacher", "reason"),
    [
        (" ", "not enough values"),
        ("resnet14 tweak_e", "no field 'tweak_e'. Nearest: 'tweak_"),
        ("resnet14 lr=high", "Expecting value"),
        ("resnet14 lr=0", "Recipe.lr = 0.0: must be above 0"),
        ("resnet14 lr", "Recipe.lr = True: must be float"),
    ],
)
def test_a_teacher_that_makes_no_sense_is_refused(teacher, reason):
    with pytest.raises(
        ValueError, match=rf"Recipe.teacher = '{teacher}': must be a net, and .*'resnet14 lr=.*{reason}"
    ):
        replace(BASELINE, teacher=teacher)


def test_every_field_is_read_outside_recipe():
    """No dead knobs: `recipe.<field>` is read somewhere in the package beside recipe.py."""
    files = [path for path in (ROOT / "tricks").rglob("*.py") if path.name not in ("recipe.py", "__main__.py")]
    assert len(files) > 5
    read = {
        node.attr
        for path in files
        for node in ast.walk(ast.parse(path.read_text(encoding="utf8")))
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load) and is_recipe(node.value)
    }
    assert set(NAMES) - read == set()


def is_recipe(node: ast.expr) -> bool:
    """Whether an expression is called a recipe: `recipe` or `something.recipe`."""
    return getattr(node, "id", getattr(node, "attr", "")) == "recipe"


def test_every_field_is_documented():
    """Unit, meaning or section in a comment on the field's own line; the command line shows it as help."""
    lines = inspect.getsource(Recipe).splitlines()
    bare = [name for name in NAMES if not any(re.match(rf"    {name}: .*# \S+", line) for line in lines)]
    assert bare == []
