"""Where a run happens: device, random streams, and the other processes of a `torchrun`."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum, unique

import numpy as np
import torch
import torch.distributed as dist

START = "Start with torchrun, or unset WORLD_SIZE, RANK and LOCAL_RANK"


def device() -> torch.device:
    """The accelerator of this process if there is one, else the CPU."""
    if torch.cuda.is_available():
        local, there = _variable("LOCAL_RANK", 0), torch.cuda.device_count()
        if local >= there:
            raise ValueError(f"LOCAL_RANK = {local}: must be below {there}, this machine's GPUs. {START}")
        return torch.device("cuda", local)
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def set_up() -> None:
    """What every run wants of PyTorch: speed on a CPU, and on a GPU the same numbers from the same seed."""
    torch.set_flush_denormal(True)  # denormal numbers slow a CPU down and change nothing
    torch.backends.cudnn.deterministic = True  # else convolutions may sum their gradients in any order


@unique
class Purpose(IntEnum):
    """What a random stream is for. Records were made with these numbers, so they stay; none is 0, see `key`."""

    MIXUP = 1
    MODEL = 2  # a network's first weights
    CUTMIX = 3
    ORDER = 101  # of the training images or scenes
    AUGMENT = 102  # crops, flips and colours of an epoch
    NOISE = 103  # in labels
    FLIP = 104  # the first coins of alternating flips, one a picture
    TRIVIAL_AUGMENT = 105
    HEAD = 201  # first weights of what fine-tuning adds to a backbone
    AUGMENT_SCENES = 202  # where they are cut and whether mirrored
    SAMPLING = 203  # of anchors and regions


def key(purpose: Purpose, seed: int, epoch: int | None = None, rank: int = 0) -> tuple[int, int, int, int]:
    """What NumPy seeds the stream of these arguments with: other arguments, other words.

    (seed, epoch, purpose, rank), or (seed, purpose, 0, 0) without an epoch. No purpose is 0, so the third word tells
    which; and four words of 32 bits are neither padded nor split. ValueError on a number that has more bits or is
    negative, and on a rank without an epoch.
    """
    check_bits(seed=seed, epoch=epoch or 0, rank=rank)
    if epoch is None:
        if rank:
            raise ValueError(f"rank = {rank} without an epoch: give the epoch, too, or leave out the rank")
        return seed, Purpose(purpose), 0, 0
    return seed, epoch, Purpose(purpose), rank


def check_bits(**numbers: int) -> None:
    """ValueError, with its name, for a number that a random stream cannot be seeded with."""
    for name, value in numbers.items():
        if not 0 <= value < 2**32:
            raise ValueError(f"{name} = {value}: must be in [0, {2**32 - 1}]. Choose one that fits 32 bits")


def generator(purpose: Purpose, seed: int, epoch: int | None = None, rank: int = 0) -> torch.Generator:
    """A random stream of its own for this purpose, seed, epoch and process.

    Streams that share nothing let two recipes see the same crops although only one of them draws for mixup, and let a
    resumed run continue with the draws that the uninterrupted one would have made. Different arguments have different
    `key`s; what is left is chance: PyTorch's CPU streams are numbered with 32 bits.
    """
    state = np.random.SeedSequence(key(purpose, seed, epoch, rank)).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state >> np.uint64(1)))


def world() -> tuple[int, int]:
    """(rank, number of processes): (0, 1) outside `torchrun`. ValueError if the variables make no sense."""
    rank, size = _variable("RANK", 0), _variable("WORLD_SIZE", 1, least=1)
    if rank >= size:
        there = f"WORLD_SIZE = {size}" if "WORLD_SIZE" in os.environ else "1, as WORLD_SIZE is not set"
        raise ValueError(f"RANK = {rank}: must be below {there}. {START}")
    return rank, size


def _variable(name: str, default: int, least: int = 0) -> int:
    """A number that `torchrun` sets for each of its processes."""
    text = os.environ.get(name, str(default))
    if not (text.isascii() and text.isdigit()) or int(text) < least:
        raise ValueError(f"{name} = {text!r}: must be a whole number from {least} on. {START}")
    return int(text)


@contextmanager
def group() -> Iterator[None]:
    """The process group of a `torchrun`: NCCL on GPUs, gloo on CPUs.

    Does nothing when this process is alone, or inside another `group()`. ValueError if the variables that say where
    the processes meet are not set, ConnectionError if they do not meet.
    """
    rank, size = world()
    if size == 1 or dist.is_initialized():
        yield
        return
    if absent := [name for name in ("RANK", "MASTER_ADDR", "MASTER_PORT") if name not in os.environ]:
        names = " and ".join(absent)
        raise ValueError(f"WORLD_SIZE = {size}, but {names} not set: this is no process of a torchrun. {START}")
    where = device()
    if where.type == "cuda":
        torch.cuda.set_device(where)
    try:
        dist.init_process_group("nccl" if where.type == "cuda" else "gloo")
    except (dist.DistError, OSError, ValueError) as error:
        place = f"MASTER_ADDR = {os.environ['MASTER_ADDR']}, MASTER_PORT = {os.environ['MASTER_PORT']}"
        raise ConnectionError(f"RANK = {rank} of {size} met no others at {place} ({error}). {START}") from error
    try:
        yield
    finally:
        dist.destroy_process_group()


def all_reduce(tensor: torch.Tensor) -> torch.Tensor:
    """The sum of `tensor` over all processes; the tensor itself when this process is alone."""
    if world()[1] > 1:
        dist.all_reduce(tensor)
    return tensor


def first_says(answer: bool) -> bool:
    """The first process's answer, in all of them; they wait for it."""
    return bool(all_reduce(torch.tensor(float(answer and world()[0] == 0), device=device())))


def gather(tensor: torch.Tensor) -> torch.Tensor:
    """The tensors of all processes, one after another along the first axis. They may differ in length."""
    rank, size = world()
    if size == 1:
        return tensor
    lengths = torch.zeros(size, dtype=torch.int64, device=tensor.device)
    lengths[rank] = len(tensor)
    longest = int(all_reduce(lengths).max())
    padded = tensor.new_zeros((longest, *tensor.shape[1:]))
    padded[: len(tensor)] = tensor
    parts = [torch.empty_like(padded) for _ in range(size)]
    dist.all_gather(parts, padded)
    return torch.cat([part[: int(n)] for part, n in zip(parts, lengths, strict=True)])


def share_buffers(model: torch.nn.Module) -> None:
    """Give every process the first one's buffers: batch norm's running statistics differ between processes."""
    if world()[1] > 1:
        for buffer in model.buffers():
            dist.broadcast(buffer, 0)
