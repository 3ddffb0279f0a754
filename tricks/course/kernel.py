"""The kernel that lessons run in: the interpreter that serves them, whatever kernels a machine has."""

import platform

from ipykernel.kernelspec import RESOURCES, get_kernel_dict
from jupyter_client.kernelspec import NATIVE_KERNEL_NAME, KernelSpec, KernelSpecManager


class CourseKernels(KernelSpecManager):
    """The kernels that Jupyter finds, but `python3`, which the lessons ask for, is always this interpreter.

    One of that name in JUPYTER_PATH or in the user's home would come before the environment's own.
    """

    def find_kernel_specs(self) -> dict[str, str]:
        return {**super().find_kernel_specs(), NATIVE_KERNEL_NAME: RESOURCES}

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        if kernel_name.lower() != NATIVE_KERNEL_NAME:
            return super().get_kernel_spec(kernel_name)
        about = {**get_kernel_dict(), "display_name": f"Bag of Tricks (Python {platform.python_version()})"}
        return KernelSpec(resource_dir=RESOURCES, **about)
