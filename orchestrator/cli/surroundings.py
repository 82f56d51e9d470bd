"""What notebooks, editors and other tools have set in the environment, kept from the program.

The one place for it. Workers and processes that draw inherit what is left. MLflow's variables that
say which run or experiment is meant need nothing: the program names its own in every call.
"""

import os
import re
import sys
import warnings

# They change the bits of results, or crowd all workers on one core.
_OF_NUMBERS = re.compile(r"(ATEN|DNNL|GOMP|MKL|NUMBA|OMP|ONEDNN)_.*|.*_TF32_.*")
_HARMLESS = re.compile(r".*_NUM_THREADS|NUMBA_CACHE_DIR")
# A library's warning is no reason to end. What `python -bb` adds is no library's.
_ERRORS = re.compile(r"e(?!rror::BytesWarning).*")
_UNHEARD = (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning)


def leave_out_others() -> None:
    """Undoes what others have set, before any library reads it."""
    for name in list(os.environ):
        if _OF_NUMBERS.fullmatch(name) and not _HARMLESS.fullmatch(name):
            del os.environ[name]
    os.environ["MPLBACKEND"] = "agg"  # read as matplotlib is imported, also by users' modules
    kept = [option for option in sys.warnoptions if not _ERRORS.fullmatch(option)]
    if kept != sys.warnoptions:
        sys.warnoptions[:] = kept  # which processes that draw are started with
        os.environ["PYTHONWARNINGS"] = ",".join(kept)
        warnings.resetwarnings()
        for kind in _UNHEARD:  # as Python does by itself
            warnings.simplefilter("ignore", kind)
