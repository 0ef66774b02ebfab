"""The command line: a shell over analysis and present that computes nothing."""

import os

# The matrices are small: threads of the linear algebra would only wait for each other, four times as long.
# Must stand before numpy is first loaded; a number set by the user stays.
for _name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

EXIT_FAILED_CHECK, EXIT_BAD_INPUT, EXIT_DEFECT, EXIT_NOT_JUDGED = 1, 2, 3, 4
EXIT_INTERRUPTED, EXIT_TERMINATED = 130, 143


class Terminated(KeyboardInterrupt):
    """SIGTERM, which ends the work as Ctrl-C does."""
