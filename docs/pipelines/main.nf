// Corrects folders of masks, each with its images, and proves every store.
//
//     nextflow run main.nf --batches '/data/*' --model /models/adele.onnx --out /results
//
// A batch is a folder that holds images/ and masks/. A task works in a folder of its own, so a stopped one starts anew.
// A path that matches nothing is an error: without checkIfExists a workflow of no tasks would be a success.

params.batches = 'batches/*'
params.model   = 'weights/adele.onnx'
params.out     = 'results'

process CORRECT {
    tag "${batch.name}"
    cpus 2
    memory '8 GB'
    errorStrategy { task.exitStatus in [130, 143] ? 'retry' : 'finish' }
    maxRetries 3
    publishDir params.out, mode: 'copy'

    input:
    path batch
    path model

    output:
    tuple path("${batch.name}.zarr"), path("${batch.name}.zarr.journal.jsonl"), emit: store
    path "${batch.name}.json", emit: report
    path "${batch.name}.jsonl"

    script:
    """
    code=0
    adele correct ${batch}/masks --images ${batch}/images --model ${model} --out ${batch.name}.zarr \\
        --workers ${task.cpus} --max-ram ${task.memory.toGiga() - 1}G --report ${batch.name}.json \\
        --log-json ${batch.name}.jsonl --quiet || code=\$?
    # 3 and 4: some cases failed or were quarantined; they stand in the report, the others are published
    [ \$code -eq 3 ] || [ \$code -eq 4 ] || exit \$code
    """
}

process VERIFY {
    tag "${store.name}"
    publishDir params.out, mode: 'copy'

    input:
    tuple path(store), path(journal)  // the journal is found beside the store

    output:
    path "${store.baseName}.verified.json"

    script:
    """
    adele verify ${store} --json > ${store.baseName}.verified.json
    """
}

workflow {
    CORRECT(channel.fromPath(params.batches, type: 'dir', checkIfExists: true), file(params.model, checkIfExists: true))
    VERIFY(CORRECT.out.store)
}
