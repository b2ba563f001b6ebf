#!/usr/bin/env bash
# Creates the virtual environment of the oracles: the reference tools that tools/*.py run to regenerate
# golden files and to check ours against theirs. The program and its tests need none of it.
#   scripts/make_oracle_venv.sh [FOLDER]        default .venv-oracle; about 6 GB, nothing from a GPU is used
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
venv=${1:-$root/.venv-oracle}
python=${PYTHON:-python3}

die() { echo "make_oracle_venv: $*" >&2; exit 1; }

command -v "$python" >/dev/null || die "no '$python': apt-get install python3 python3-venv, or set PYTHON"
"$python" -c 'import sys; sys.exit(not (3, 9) <= sys.version_info < (3, 13))' ||
  die "$("$python" --version) found, 3.9 to 3.12 needed (torch 2.6.0 has no wheel for others); set PYTHON"
"$python" -c 'import ensurepip' 2>/dev/null || die "no venv module: apt-get install python3-venv"

[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
pip() { "$venv/bin/python" -m pip --disable-pip-version-check --quiet "$@"; }

# AutoAWQ 0.2.9 was last tested with torch 2.6.0 and transformers 4.51.3; an unpinned install takes
# transformers 5, which computes RoPE and masks elsewhere and breaks its calibration.
pip install --upgrade "setuptools==75.8.0" "wheel==0.45.1"
pip install \
  "torch==2.6.0" "transformers==4.51.3" "tokenizers==0.21.4" "huggingface_hub==0.34.4" \
  "safetensors==0.5.3" "numpy==2.2.6" "jinja2==3.1.6" "pydantic==2.11.7" "loguru==0.7.3" \
  "accelerate==1.6.0" "datasets==3.5.0" "pyarrow==19.0.1" "pandas==2.2.3" "zstandard==0.23.0"
# Its setup.py imports torch, hence no build isolation; its dependencies are the ones above.
pip install --no-build-isolation --no-deps "autoawq==0.2.9"

# All other tools use what lies in newer/ (tools/oracle_env.py puts it first). Transformers 4.51 takes YaRN's
# original context from max_position_embeddings, knows no "truncate", and its eager attention slides in every
# layer whatever max_window_layers says; 4.57 computes what 5 does. The first compressed-tensors that
# decompresses zero points is 0.13, and it needs the newer Transformers.
pip install --no-deps "sentencepiece==0.2.1" "protobuf==7.36.2" "tiktoken==0.9.0"  # tokenizers without tokenizer.json
pip install --no-deps --upgrade --target "$venv/newer" \
  "transformers==4.57.6" "tokenizers==0.22.1" "compressed-tensors==0.13.0"

"$venv/bin/python" - <<'PY'
import warnings
warnings.showwarning = lambda *args, **kwargs: None  # AutoAWQ announces its deprecation on import
import awq, torch, transformers
print(f"torch {torch.__version__}, autoawq {awq.__version__} with transformers {transformers.__version__}")
PY
PYTHONPATH="$venv/newer" "$venv/bin/python" - <<'PY'
import compressed_tensors, tokenizers, transformers
print(f"transformers {transformers.__version__}, tokenizers {tokenizers.__version__}, "
      f"compressed-tensors {compressed_tensors.__version__}")
PY
echo "ready: $venv/bin/python"
