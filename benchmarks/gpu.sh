#!/usr/bin/env bash
# What only a GPU can show, in one command. Results go to the folder OUT, with device, driver, date and commit.
#
#   benchmarks/gpu.sh [STAGE...]      stages: build tests sanitize train bench ops (default: all, in this order)
#
# PYTHON (default python3) must have NumPy, pytest, pybind11, CuPy; PyTorch and JAX are compared where they are.
set -uo pipefail
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-python3}
OUT=${OUT:-runs/gpu}
mkdir -p "$OUT"
export PYTHONPATH=$PWD PYTHONUNBUFFERED=1
failed=()

stage() { # stage NAME COMMAND...: runs it, keeps its output, goes on after a failure
  local name=$1
  shift
  echo "== $name: $*"
  "$@" 2>&1 | tee "$OUT/$name.log" | tail -n 40
  [ "${PIPESTATUS[0]}" -eq 0 ] || failed+=("$name")
}

{
  date -u +%Y-%m-%dT%H:%M:%SZ
  git rev-parse HEAD 2>/dev/null || echo "no git"
  nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader
  "$PYTHON" -c 'import cupy; print("cupy", cupy.__version__)'
} | tee "$OUT/environment.txt"

for s in ${*:-build tests sanitize train bench ops}; do
  case $s in
    build) SYMCONV_ISAS=${SYMCONV_ISAS:-avx2} stage build "$PYTHON" setup.py build_ext --inplace ;;
    tests) stage tests "$PYTHON" -m pytest -q -m gpu -p no:cacheprovider ;;
    sanitize)
      for tool in memcheck racecheck; do
        stage "$tool" compute-sanitizer --tool "$tool" --error-exitcode 9 \
          "$PYTHON" -m pytest -q -x -m gpu -p no:cacheprovider -k "training and dbl_conv_relu and (kernels or persistent)"
      done
      ;;
    train)
      for net in shallow conv dbl_conv_relu dropout; do
        stage "train_$net" "$PYTHON" -m symconv train --net "$net" --epochs 5 --seed 1 --device cuda --out "$OUT/$net"
      done
      ;;
    bench)
      stage bench "$PYTHON" benchmarks/run.py --device cuda --batches 10,128,1024 --infer-batches 1,10,1000 \
        --peers symconv,torch,jax --threads 4 --json "$OUT/gpu_training.json"
      ;;
    ops) stage ops "$PYTHON" benchmarks/ops.py --device cuda --json "$OUT/gpu_ops.json" ;;
    *) echo "unknown stage $s" && exit 2 ;;
  esac
done
[ ${#failed[@]} -eq 0 ] || { echo "FAILED: ${failed[*]}" && exit 1; }
