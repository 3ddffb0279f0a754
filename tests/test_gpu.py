"""What only a GPU shows: the CPU's numbers on another device, loss scaling in real fp16, real memory, no waiting."""

from dataclasses import replace

import numpy as np
import pytest
import test_train
import torch
from test_train import TINY, dataset, note_in_training

from tricks import precision, process
from tricks.data.loader import DeviceLoader
from tricks.recipe import AUGMENTS
from tricks.records import make, store
from tricks.records.make import prepare
from tricks.train import epochs

pytestmark = [
    pytest.mark.any_device,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU here"),
]
own_cache = test_train.own_cache  # the fixture: records and weights in a folder of the test's own
FP16 = {"amp": True, "amp_dtype": "float16"}


@pytest.fixture
def exact_fp32(monkeypatch):
    """Convolutions in fp32 as on the CPU, and not in TF32, which is PyTorch's default on a GPU that has it."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


@pytest.mark.parametrize("kind", AUGMENTS)
def test_batches_on_the_gpu_are_those_of_the_cpu(kind):
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (64, 40, 40, 3), dtype=np.uint8), np.arange(64) % 10
    options = {"image_size": 32, "batch_size": 16, "augment": kind, "train": True, "seed": 3}
    options |= {"alternating_flip": kind != "none", "trivial_augment": kind == "crop_flip"}
    here, there = (DeviceLoader(images, labels, 10, device=device, **options) for device in ("cpu", "cuda"))
    compared = 0
    for (x, y), (gpu_x, gpu_y) in zip(here.epoch(2), there.epoch(2), strict=True):
        assert gpu_x.is_cuda and gpu_y.is_cuda and gpu_x.is_contiguous(memory_format=torch.channels_last)
        torch.testing.assert_close(gpu_x.cpu(), x, rtol=1e-4, atol=1e-4)
        assert torch.equal(gpu_y.cpu(), y)
        compared += 1
    assert compared == 4


@pytest.mark.parametrize("change", [{}, {"mixup_alpha": 0.2, "label_smoothing": 0.1}, {"tweak_c": True}], ids=str)
def test_an_epoch_on_the_gpu_is_the_cpus(change, exact_fp32, monkeypatch):
    recipe = replace(TINY, epochs=1, **change)
    (there,) = epochs(recipe, prepare(recipe, 0, dataset()))
    monkeypatch.setattr(process, "device", lambda: torch.device("cpu"))
    (here,) = epochs(recipe, prepare(recipe, 0, dataset()))
    assert there["train_loss"] == pytest.approx(here["train_loss"], rel=1e-3)
    assert there["test_nll"] == pytest.approx(here["test_nll"], rel=1e-2)


@pytest.mark.parametrize("change", [{}, FP16, {"amp": True, "amp_dtype": "bfloat16"}], ids=str)
def test_a_seed_repeats_and_a_resumed_run_continues_identically(change, tmp_path):
    recipe = replace(TINY, epochs=4, mixup_alpha=0.2, tweak_d=True, **change)
    whole_parts = prepare(recipe, 0, dataset())
    whole = list(epochs(recipe, whole_parts))
    assert whole[-1]["train_loss"] < whole[0]["train_loss"]
    checkpoint = tmp_path / "run.safetensors"
    first = epochs(recipe, prepare(recipe, 0, dataset()), checkpoint=checkpoint)
    assert [next(first), next(first)] == whole[:2]
    first.close()
    parts = prepare(recipe, 0, dataset())
    assert list(epochs(recipe, parts, checkpoint=checkpoint)) == whole
    for ours, theirs in zip(parts.model.state_dict().values(), whole_parts.model.state_dict().values(), strict=True):
        assert torch.equal(ours, theirs)


def test_mixed_precision_calculates_in_the_type_that_was_asked_for():
    seen = {}
    for name in ("bfloat16", "float16"):
        recipe = replace(TINY, epochs=1, amp=True, amp_dtype=name)
        parts = prepare(recipe, 0, dataset())
        parts.model.stem[0].register_forward_hook(note_in_training(seen, name))
        list(epochs(recipe, parts))
    assert seen == {"bfloat16": torch.bfloat16, "float16": torch.float16}


def test_a_record_and_its_teacher_are_made_on_the_gpu_and_say_so(own_cache):
    recipe = replace(TINY, epochs=2, teacher="resnet14", amp=True, amp_dtype="float16")
    made = make.run(recipe, 1, name="tiny", progress=lambda _: None)
    assert made.meta["device"] == torch.cuda.get_device_name()
    assert made.meta["tf32"] == precision.has_tf32(process.device())
    assert store.find(recipe, store.OWN_RUNS) == [made]
    assert made.rows[-1]["test_accuracy"] == pytest.approx(made.accuracy)
    weights = make.weights_for(recipe, 1, dataset())
    assert make.weights_path(recipe, 1).exists() and all(w.device.type == "cpu" for w in weights.values())


def test_a_full_memory_names_the_knobs_and_leaves_the_gpu_usable():
    recipe = replace(TINY, epochs=1)
    parts = prepare(recipe, 0, dataset())
    total = torch.cuda.get_device_properties(0).total_memory

    class Hungry(torch.nn.Module):
        def __init__(self, model):
            super().__init__()
            self.model = model

        def forward(self, x):
            return self.model(x) + torch.empty(total, device="cuda", dtype=torch.uint8).sum()

    with pytest.raises(MemoryError, match=r"lower batch_size \(now 16\) or image_size \(now 32\), or switch on amp"):
        list(epochs(recipe, parts._replace(model=Hungry(parts.model))))
    assert len(list(epochs(recipe, parts))) == 1


@pytest.mark.parametrize(
    "mixed",
    [{"mixup_alpha": 0.2}, {"cutmix_alpha": 1.0, "ema_decay": 0.9, "ema_bn": True, "start_size": 16}],
    ids=["bag", "after"],
)
@pytest.mark.parametrize("kind", AUGMENTS)
def test_the_loop_does_not_wait_for_the_gpu_within_an_epoch(kind, mixed, monkeypatch):
    """A step that copies from the GPU, or a table to it, keeps the two from working at the same time."""
    recipe = replace(TINY, epochs=2, augment=kind, label_smoothing=0.1, **mixed)
    if kind == "crop_flip":
        recipe = replace(recipe, alternating_flip=True, trivial_augment=True)
    parts = prepare(recipe, 0, dataset())
    list(epochs(replace(recipe, epochs=1), parts))  # what is made once is made
    step = torch.optim.SGD.step
    steps = []  # the learning rate of each

    def watched(self, *args, **kwargs):
        torch.cuda.set_sync_debug_mode("error")  # from the first step of an epoch to its last
        steps.append(self.param_groups[0]["lr"])
        return step(self, *args, **kwargs)

    monkeypatch.setattr(torch.optim.SGD, "step", watched)

    class Ends:
        """The loader, which lifts the watch when its last batch has been used."""

        labels, num_classes = parts.train.labels, parts.train.num_classes

        def __len__(self):
            return len(parts.train)

        def epoch(self, epoch):
            yield from parts.train.epoch(epoch)
            torch.cuda.set_sync_debug_mode("default")

    try:
        list(epochs(recipe, parts._replace(train=Ends())))
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert len(steps) == recipe.epochs * len(parts.train)
