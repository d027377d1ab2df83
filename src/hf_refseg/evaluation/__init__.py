"""From a model and a data set to results that name their protocol, and from two results to their difference.

Read `run` first: it is the loop. `batches` is what one step of it takes and gives (the trainer's evaluation uses it as
well), `rows` finds the data set, `progress` makes a killed run go on, `results` is the file at the end, `contact_sheet`
the picture, `comparison` the bootstrap, `commands` the command line.
"""
