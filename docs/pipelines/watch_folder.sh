#!/bin/bash
# Corrects every batch that is put into a folder: INBOX/<batch>/images, INBOX/<batch>/masks and, once all files are there, INBOX/<batch>/READY.
#
#     watch_folder.sh INBOX OUTBOX MODEL
#
# Writes OUTBOX/<batch>.zarr, .json (the report), .jsonl (the log) and, last, .done with the exit code. Looks every INTERVAL seconds
# (30); INTERVAL=0 looks once. SIGTERM and Ctrl-C end the loop, and the next start goes on with the batch that was in hand.
set -u
inbox=$1 outbox=$2 model=$3
interval=${INTERVAL:-30}
child='' stop=''
trap 'stop=1; [ -n "$child" ] && kill -TERM "$child" 2>/dev/null' TERM INT

run() {  # in the background, because bash hears of a signal only while it waits
    "$@" &
    child=$!
    [ -z "$stop" ] || kill -TERM "$child" 2>/dev/null  # asked to stop before there was a child to tell
    wait "$child"
    code=$?
    [ -z "$stop" ] || wait "$child"  # the signal ended the first wait, not the child
    child=''
    return "$code"
}

correct_batch() {
    local name=$1 code
    run adele correct "$inbox/$name/masks" --images "$inbox/$name/images" --model "$model" --out "$outbox/$name.zarr" --resume \
        --report "$outbox/$name.json" --log-json "$outbox/$name.jsonl" --quiet
    code=$?
    # stopped, to go on at the next start; everything else is said once and for all
    [ -n "$stop" ] || [ "$code" -eq 130 ] || echo "$code" > "$outbox/$name.done"
}

mkdir -p "$outbox"
while [ -z "$stop" ]; do
    for ready in "$inbox"/*/READY; do
        name=$(basename "$(dirname "$ready")")
        [ -e "$ready" ] && [ ! -e "$outbox/$name.done" ] && [ -z "$stop" ] && correct_batch "$name"
    done
    [ "$interval" = 0 ] && break
    [ -n "$stop" ] || run sleep "$interval"
done
exit 0
