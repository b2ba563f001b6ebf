"""Import this before Transformers: it puts the virtual environment's newer libraries first. Only AutoAWQ needs the
older ones (scripts/make_oracle_venv.sh says why)."""

import pathlib
import sys

_NEWER = pathlib.Path(sys.prefix) / "newer"
if not _NEWER.is_dir():
    sys.exit("run this in the virtual environment that scripts/make_oracle_venv.sh makes: .venv-oracle/bin/python …")
sys.path.insert(0, str(_NEWER))
