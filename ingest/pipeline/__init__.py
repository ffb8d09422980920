"""The stages in order: what they hand on, and what they count.

    fetch     feeds → landing files          `fetching`    (runs in threads, network bound)
    digest    landing file, archive → files of stories   `digesting`; `batches`, `reading`   (pure, in worker processes)
    publish   files of stories → store       `publishing`, `revisions`   (one writer at a time)
    report    what a run took in, and what became of it   `reporting`

`jobs` puts them together for the command line and the DAGs; `pipe` pairs the ports with their adapters.
"""
