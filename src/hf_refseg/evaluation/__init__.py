"""From a model and a data set to results that name their protocol, and from two results to their difference.

Read `run` first: it is the loop. `batches` is what one step of it takes and gives, `progress` resumes a killed run,
`results` writes the files at the end, `contact_sheet` the picture, `comparison` is the bootstrap, `commands` the
command line. `evaluators` are what a training measures, `average_precision` what the training of a detector does.
"""
