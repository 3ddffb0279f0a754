"""What all tests share."""

import pytest
import torch


@pytest.fixture(autouse=True)
def one_thread():
    """Batches as small as the tests' only lose by being shared among threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
