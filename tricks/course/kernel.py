"""The kernel that lessons run in: the interpreter that serves them, whatever kernels a machine has.

JupyterLab writes a kernel's name and language into each notebook that it opens, and marks it as changed if something
else was there. So ours say the same on every machine, and the notebooks are built with it.
"""

from ipykernel.kernelspec import RESOURCES, get_kernel_dict
from jupyter_client.kernelspec import NATIVE_KERNEL_NAME, KernelSpec, KernelSpecManager

DISPLAY_NAME = "Bag of Tricks"
LANGUAGE = {  # what ipykernel says of itself, without the version of Python
    "name": "python",
    "mimetype": "text/x-python",
    "codemirror_mode": {"name": "ipython", "version": 3},
    "pygments_lexer": "ipython3",
    "nbconvert_exporter": "python",
    "file_extension": ".py",
}


class CourseKernels(KernelSpecManager):
    """The kernels that Jupyter finds, but `python3`, which the lessons ask for, is always this interpreter.

    One of that name in JUPYTER_PATH or in the user's home would come before the environment's own.
    """

    def find_kernel_specs(self) -> dict[str, str]:
        return {**super().find_kernel_specs(), NATIVE_KERNEL_NAME: RESOURCES}

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        if kernel_name.lower() != NATIVE_KERNEL_NAME:
            return super().get_kernel_spec(kernel_name)
        about = get_kernel_dict(["--IPKernelApp.kernel_class=tricks.course.ipython.CourseKernel"])
        return KernelSpec(resource_dir=RESOURCES, **{**about, "display_name": DISPLAY_NAME})
