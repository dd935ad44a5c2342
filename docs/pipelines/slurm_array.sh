#!/bin/bash
# One store, made by the tasks of a Slurm array, each of which does its part of the cases:
#
#     sbatch --array=1-8 slurm_array.sh masks images weights/adele.onnx cleaned.zarr
#
# Submit the same line again to go on after a time limit or a failed node: what is published is not done twice.
#SBATCH --job-name=adele
#SBATCH --cpus-per-task=4
#SBATCH --mem=16G
#SBATCH --time=08:00:00
#SBATCH --signal=B:TERM@60
# (a minute before the time limit adele is asked to stop, publishes what it has in hand, and ends with 130)

set -eu
masks=$1 images=$2 model=$3 store=$4

# exec: the signal is for adele, not for this shell
exec adele correct "$masks" --images "$images" --model "$model" --out "$store" \
    --shard "$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT" --workers "${SLURM_CPUS_PER_TASK:-1}" \
    --report "$store.report-$SLURM_ARRAY_TASK_ID.json" --log-json "$store.$SLURM_ARRAY_TASK_ID.jsonl" --quiet
