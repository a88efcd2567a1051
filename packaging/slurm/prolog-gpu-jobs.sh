#!/bin/sh
# A prolog for slurm.conf: writes the job's id into a file for each of its GPUs, in the folder that the exporter's flag
# --hpc-job-mapping-dir names. epilog-gpu-jobs.sh takes it out again. docs/bare-metal.md says how to install both.
#
# slurmd drains a node whose prolog fails. A label is not worth that, so this one always ends with 0.

PATH=/usr/sbin:/usr/bin:/sbin:/bin
folder=${GPU_JOBS_FOLDER:-/run/gpu-jobs}
job=${SLURM_JOB_ID:-}

# slurmd runs prologs outside of the job's cgroup: both variables speak of the node's GPUs, not of those that the job sees.
# UUIDs say best which GPU is meant. Slurm gives them of MIG devices, and since 25.11 of each GPU that AutoDetect finds.
case ${CUDA_VISIBLE_DEVICES:-} in
    GPU-* | MIG-*) devices=$CUDA_VISIBLE_DEVICES ;;
    *) devices=${SLURM_JOB_GPUS:-} ;;
esac
if [ -z "$job" ] || [ -z "$devices" ]; then exit 0; fi

say() { logger -t gpu-jobs "job $job: $1" 2>/dev/null; }

add_to() {
    case $1 in
        '' | *[!0-9A-Za-z-]*) say "no file can have the name of this device: $1"; return 0 ;;
    esac
    # A file beside the folder, then a rename: the exporter never sees half a list, nor a name that it does not know. A
    # list that a full disk has cut short is not taken.
    { grep -vxF -- "$job" "$folder/$1"; echo "$job"; } >"$folder.new" 2>/dev/null && mv "$folder.new" "$folder/$1"
}

umask 022
mkdir -p "$folder" 2>/dev/null
(
    flock --timeout 10 9 || exit 1
    IFS=,
    set -f
    status=0
    for device in $devices; do add_to "$device" || status=1; done
    exit $status
) 9<"$folder" || say "$folder can't be written, so that this job is not on its GPUs' metrics"
exit 0
