#!/bin/sh
# An epilog for slurm.conf: takes the job's id out of every file that prolog-gpu-jobs.sh may have written it into. It looks
# at all files, and needs no variable but the job's id: an epilog also runs for a job whose prolog failed or never ran.
#
# slurmd drains a node whose epilog fails. A label is not worth that, so this one always ends with 0.

PATH=/usr/sbin:/usr/bin:/sbin:/bin
folder=${GPU_JOBS_FOLDER:-/run/gpu-jobs}
job=${SLURM_JOB_ID:-}
if [ -z "$job" ] || [ ! -d "$folder" ]; then exit 0; fi

umask 022
(
    flock --timeout 10 9 || exit 1
    status=0
    for file in "$folder"/*; do
        grep -qxF -- "$job" "$file" 2>/dev/null || continue
        grep -vxF -- "$job" "$file" >"$folder.new" 2>/dev/null
        case $? in
            0) mv "$folder.new" "$file" || status=1 ;;
            1) rm -f "$folder.new" "$file" || status=1 ;; # it was the only job
            *) status=1 ;;                                # a full disk: the list stays as it is
        esac
    done
    exit $status
) 9<"$folder" || logger -t gpu-jobs "job $job: $folder can't be written, so that its GPUs still name it" 2>/dev/null
exit 0
