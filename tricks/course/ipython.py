"""What runs in a lesson's kernel process: IPython, which says of its language what the notebooks were built with."""

from ipykernel.ipkernel import IPythonKernel

from tricks.course.kernel import LANGUAGE


class CourseKernel(IPythonKernel):
    """IPython's kernel, but its `language_info` is the same with every version of Python."""

    language_info = LANGUAGE
