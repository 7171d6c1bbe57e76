from benchmarks.ngrams.cli import main

main()
